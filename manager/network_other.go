//go:build !linux

package manager

// defaultNetwork is how processes of one machine talk to a server.
const defaultNetwork = "unix"
