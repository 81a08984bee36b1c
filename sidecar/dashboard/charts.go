package dashboard

import "strings"

// ChartLibrary returns the script and the style sheet of the library that draws the page's
// charts, for other pages of ours: the script defines uPlot. ok is false if it was not built
// into this program, see `make page`.
func ChartLibrary() (script, style string, ok bool) {
	text, err := pageFiles.ReadFile("page/built/uPlot.js")
	if err != nil {
		return "", "", false
	}
	css, err := pageFiles.ReadFile("page/built/uPlot.css")
	if err != nil {
		return "", "", false
	}
	return strings.ReplaceAll(string(text), "export default uPlot;", ""), string(css), true
}
