// Package words splits a line into words as Redis does, for inline commands and lines of its configuration file alike:
// blanks separate, "double quotes" know the escapes \n \r \t \b \a \xHH and \ before anything else, 'single quotes' only
// \', and a closing quote is followed by a blank or the end of the line.
package words
