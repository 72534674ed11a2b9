package fork

import "encoding/json"

// A Result is the line that a run ends with.
type Result struct {
	Suite   string  `json:"suite"`
	Forks   int     `json:"forks"`
	OK      int     `json:"ok"`
	Bad     int     `json:"bad"`     // the child ended with something else than 0
	Hung    int     `json:"hung"`    // it did not end
	Refused int     `json:"refused"` // there was no child
	Failed  int     `json:"failed"`  // the run itself did not work
	Cases   int     `json:"cases"`
	Seconds float64 `json:"seconds"`
}

// Trouble reports whether something went wrong.
func (r Result) Trouble() bool {
	return r.Bad+r.Hung+r.Refused+r.Failed > 0 || r.OK != r.Forks
}

// JSON returns the line without its end.
func (r Result) JSON() []byte {
	b, err := json.Marshal(r)
	if err != nil {
		panic(err) // numbers and a name
	}
	return b
}

func (r *Result) add(o Result) {
	r.Forks += o.Forks
	r.OK += o.OK
	r.Bad += o.Bad
	r.Hung += o.Hung
	r.Refused += o.Refused
	r.Failed += o.Failed
}
