// Package config holds the one table of settings: their names, defaults, how they are parsed and whether they may
// change while the server runs. Flags, environment, file, CONFIG GET and CONFIG SET all follow from it.
//
// Settings is safe for any goroutine. Values are kept as text, in the form in which CONFIG GET prints them; every
// change is checked against the table first, so a stored value always parses.
package config
