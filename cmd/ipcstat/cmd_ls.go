package main

import (
	"fmt"
	"strings"

	"github.com/fb2d3dbd/multiproc/internal/inspect"
)

func (t *tool) ls(args []string) error {
	fs := t.flags("ls [-json] [SEGMENT...]")
	if err := t.parse(fs, args); err != nil {
		return err
	}
	scan, err := t.segments(fs.Args())
	if err != nil {
		return err
	}
	if t.json {
		if scan.Segments == nil {
			scan.Segments = []*inspect.Segment{}
		}
		return t.writeJSON(struct {
			Segments []*inspect.Segment `json:"segments"`
			Hidden   int                `json:"hidden"`
		}{scan.Segments, scan.Hidden})
	}
	t.hidden(scan)
	return t.listSegments(scan.Segments)
}

func (t *tool) listSegments(all []*inspect.Segment) error {
	var rows [][]string
	for _, s := range all {
		users := "-"
		if s.HasMemory() {
			users = fmt.Sprint(s.Alive())
			if dead := len(s.Users) - s.Alive(); dead > 0 {
				users += fmt.Sprintf("+%d dead", dead)
			}
		}
		arena := "-"
		if s.Arena > 0 {
			arena = bytesText(int64(s.Allocated)) + "/" + bytesText(int64(s.Arena))
		}
		var who []string
		for _, p := range s.Mapped {
			who = append(who, fmt.Sprintf("%d(%s)", p.PID, p.Name))
		}
		rows = append(rows, []string{orDash(nameText(s.Name, s.ID)), s.Kind, bytesText(s.Size), bytesText(s.Resident), arena, ageText(s.Created), users,
			orDash(strings.Join(who, " ")) + note(s.Problem)})
	}
	return t.table("SEGMENT KIND SIZE RESIDENT ARENA AGE USERS MAPPED-BY", rows)
}

func note(problem string) string {
	if problem == "" {
		return ""
	}
	return "  (" + problem + ")"
}
