//go:build tools

// Package tools names what go.mod is for: h2spec and what it was built from, in exact versions.
package tools

import _ "github.com/summerwind/h2spec/cmd/h2spec"
