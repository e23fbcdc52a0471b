package fsm

// Constructors for the documentation of arguments, so that a command's Spec reads like its usage line.

func argKey(name string) Arg { return Arg{Name: name, Type: "key"} }

// argKeyOf is a key of one of several groups.
func argKeyOf(name string, group int) Arg {
	return Arg{Name: name, Type: "key", Group: group}
}
func argString(name string) Arg  { return Arg{Name: name, Type: "string"} }
func argInt(name string) Arg     { return Arg{Name: name, Type: "integer"} }
func argDouble(name string) Arg  { return Arg{Name: name, Type: "double"} }
func argPattern(name string) Arg { return Arg{Name: name, Type: "pattern"} }
func argTime(name string) Arg    { return Arg{Name: name, Type: "unix-time"} }

// argToken is an option that is only a word.
func argToken(name, token string) Arg { return Arg{Name: name, Type: "pure-token", Token: token} }

// argOneOf is a choice, argBlock a sequence.
func argOneOf(name string, args ...Arg) Arg { return Arg{Name: name, Type: "oneof", Args: args} }
func argBlock(name string, args ...Arg) Arg { return Arg{Name: name, Type: "block", Args: args} }

// with puts an option's word in front of its value.
func (a Arg) with(token string) Arg { a.Token = token; return a }
func (a Arg) optional() Arg         { a.Optional = true; return a }
func (a Arg) many() Arg             { a.Multiple = true; return a }

// eachWith says that the word stands before every one of many.
func (a Arg) eachWith() Arg { a.MultipleToken = true; return a }
func (a Arg) since(version string) Arg {
	a.Since = version
	return a
}
