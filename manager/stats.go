package manager

// Stats are what a server has at an instant.
type Stats struct {
	Clients  int // connections
	Sessions int // clients, those included whose connection broke and who may come back
	Objects  int
	Waiting  int // calls that wait, or run a user's function
	Held     int // answers that hand something over and are not confirmed
}

// Stats returns what the server has.
func (s *Server) Stats() Stats {
	s.smu.Lock()
	st := Stats{Clients: s.clients, Sessions: len(s.sessions)}
	all := s.everybody()
	s.smu.Unlock()
	for _, x := range all {
		x.mu.Lock()
		st.Waiting += len(x.calls)
		st.Held += len(x.gifts)
		x.mu.Unlock()
	}
	s.table.mu.RLock()
	st.Objects = len(s.table.all)
	s.table.mu.RUnlock()
	return st
}
