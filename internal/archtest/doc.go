// Package archtest holds the tree to docs/ARCHITECTURE.md: the table of rooms and floors there is read by its tests and
// compared with the imports that the files really have, on every platform. It has tests only.
package archtest
