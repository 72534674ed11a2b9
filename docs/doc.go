// Package docs has tests only: what the documents show of Go is true, or they fail.
package docs
