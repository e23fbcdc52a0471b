package fsm

var genericCommands []*Spec

var internalCommands []*Spec
