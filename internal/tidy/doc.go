// Package tidy holds the project's policy as tests: who may import whom, what the deterministic packages must not
// touch, which modules are there and why, and how long a line, a function and a file may be. It has no other code.
package tidy
