package fsm

var setCommands []*Spec
