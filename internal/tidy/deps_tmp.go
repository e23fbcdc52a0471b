package tidy

import _ "github.com/anishathalye/porcupine"
