package fsm

var hashCommands []*Spec
