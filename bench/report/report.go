// Package report makes a folder of what a comparison found: index.html, which holds every table and figure and opens
// from disk without a network, and each figure as an SVG file.
package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"os"
	"path/filepath"
	"strings"

	"github.com/fb2d3dbd/multiproc/bench"
	"github.com/fb2d3dbd/multiproc/bench/stats"
)

// Names of files of a report folder: the page, and the samples for benchstat, which the caller writes.
const (
	PageFile       = "index.html"
	BenchmarksFile = "benchmarks.txt"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
	//go:embed page.js
	pageJS string
)

// Write writes the page and the figures into dir, which exists, and returns the path of the page. Figures of an earlier
// report in the same folder are removed.
func Write(dir string, a *stats.Analysis, runs []*bench.Run) (string, error) {
	old, err := filepath.Glob(filepath.Join(dir, "*.svg"))
	if err != nil {
		return "", fmt.Errorf("look for earlier figures: %w", err)
	}
	for _, f := range old {
		if err := os.Remove(f); err != nil {
			return "", err
		}
	}
	p := newPage(a, runs)
	for _, f := range p.figures() {
		if err := f.write(dir); err != nil {
			return "", err
		}
	}
	html, err := p.render()
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, PageFile)
	return path, os.WriteFile(path, html, 0o644)
}

// render makes the page.
func (p *page) render() ([]byte, error) {
	t, err := template.New(PageFile).Funcs(template.FuncMap{
		"time": stats.Time, "interval": stats.Interval, "times": stats.Times, "timesInterval": stats.TimesInterval,
		"ratio": stats.Ratio, "multiple": stats.Multiple, "slug": slug, "css": func() template.CSS { return template.CSS(variables() + pageCSS) },
		"js": func() template.JS { return template.JS(pageJS) }, "shade": p.shade, "join": strings.Join,
		"heat": heat, "few": stats.Few, "extra": stats.ExtraNote, "regimeNote": stats.RegimeNote,
		"rate": stats.Rate, "figureTitle": stats.FigureTitle, "formatFigure": stats.FormatFigure, "p99": func() string { return bench.P99 },
	}).Parse(pageHTML)
	if err != nil {
		return nil, fmt.Errorf("parse the page: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("render the page: %w", err)
	}
	return b.Bytes(), nil
}

// variables returns the CSS variables of all colours, light and dark.
func variables() string {
	var light, dark strings.Builder
	for _, s := range shades() {
		fmt.Fprintf(&light, "--%s:%s;", s.name, s.light)
		fmt.Fprintf(&dark, "--%s:%s;", s.name, s.dark)
	}
	return ":root{" + light.String() + "}\n@media (prefers-color-scheme: dark){:root{" + dark.String() + "}}\n"
}

// slug makes a name fit for an element's id and a file.
func slug(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '-', r == '.':
			return r
		}
		return '-'
	}, name)
}
