package main

// nearestDistanceMax is how many letters may differ for a word to be suggested.
const nearestDistanceMax = 4

// nearest returns the word of known that is most like word, or "" if none is.
func nearest(word string, known []string) string {
	best, bestDistance := "", min(nearestDistanceMax, (len(word)+1)/2)+1
	for _, k := range known {
		if d := editDistance(word, k); d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance is the number of letters to insert, delete or replace that turn
// a into b (Levenshtein), computed row by row.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			replace := diagonal
			if a[i-1] != b[j-1] {
				replace++
			}
			diagonal = row[j]
			row[j] = min(replace, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}
