// Package config holds the one table of settings: their names, defaults, how they are parsed and whether they may
// change while the server runs. Flags, environment, file, CONFIG GET and CONFIG SET all follow from it.
package config
