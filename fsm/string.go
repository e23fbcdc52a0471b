package fsm

var stringCommands []*Spec
