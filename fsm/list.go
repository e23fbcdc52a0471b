package fsm

var listCommands []*Spec
