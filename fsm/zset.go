package fsm

var zsetCommands []*Spec
