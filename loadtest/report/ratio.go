package report

import "math"

// Interval is an estimate and the interval that holds what is estimated with a confidence
// of 95 %.
type Interval struct {
	Estimate float64 `json:"estimate"`
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
}

// Excludes reports whether a value is outside of the interval.
func (i Interval) Excludes(value float64) bool { return value < i.Low || value > i.High }

// quantiles975 are those of Student's distribution, by degrees of freedom from 1 on. From
// there on it is close to the normal one.
var quantiles975 = []float64{
	12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
	2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
}

func student(freedom float64) float64 {
	switch n := int(freedom); {
	case n < 1:
		return math.Inf(1)
	case n > len(quantiles975):
		return 1.96
	default:
		return quantiles975[n-1]
	}
}

// Over is the ratio of two sides, turn by turn: the geometric mean over the rounds, in each of which both
// met the same machine. With one round nothing is known of its confidence.
func Over(above, below []float64) Interval {
	var logs []float64
	for i := range min(len(above), len(below)) {
		if above[i] > 0 && below[i] > 0 {
			logs = append(logs, math.Log(above[i]/below[i]))
		}
	}
	mean, deviation := moments(logs)
	if len(logs) == 0 {
		return Interval{math.NaN(), math.NaN(), math.NaN()}
	}
	half := 0.0
	if n := float64(len(logs)); n > 1 {
		half = student(n-1) * deviation / math.Sqrt(n)
	} else {
		half = math.Inf(1)
	}
	return Interval{math.Exp(mean), math.Exp(mean - half), math.Exp(mean + half)}
}

// apart is the ratio of what was measured at two times, by Welch's method on the logarithms.
func apart(above, below []float64) Interval {
	a, b := logarithms(above), logarithms(below)
	meanA, deviationA := moments(a)
	meanB, deviationB := moments(b)
	if len(a) == 0 || len(b) == 0 {
		return Interval{math.NaN(), math.NaN(), math.NaN()}
	}
	mean := meanA - meanB
	if len(a) < 2 || len(b) < 2 {
		return Interval{math.Exp(mean), 0, math.Inf(1)}
	}
	na, nb := float64(len(a)), float64(len(b))
	va, vb := deviationA*deviationA/na, deviationB*deviationB/nb
	if va+vb == 0 {
		return Interval{math.Exp(mean), math.Exp(mean), math.Exp(mean)}
	}
	freedom := (va + vb) * (va + vb) / (va*va/(na-1) + vb*vb/(nb-1))
	half := student(freedom) * math.Sqrt(va+vb)
	return Interval{math.Exp(mean), math.Exp(mean - half), math.Exp(mean + half)}
}

func logarithms(of []float64) (logs []float64) {
	for _, x := range of {
		if x > 0 {
			logs = append(logs, math.Log(x))
		}
	}
	return logs
}

func moments(of []float64) (mean, deviation float64) {
	for _, x := range of {
		mean += x / float64(len(of))
	}
	for _, x := range of {
		deviation += (x - mean) * (x - mean)
	}
	if len(of) > 1 {
		deviation = math.Sqrt(deviation / float64(len(of)-1))
	}
	return mean, deviation
}

// Ratio is how a target's figure stands to another's, round by round.
func (r *Run) Ratio(above, below, figure string) (Interval, error) {
	a, b := r.Find(above), r.Find(below)
	if a == nil || b == nil {
		return Interval{}, missing(above, below, r)
	}
	of, err := figureOf(figure)
	if err != nil {
		return Interval{}, err
	}
	return Over(each(a.Turns, of), each(b.Turns, of)), nil
}

func each(turns []Turn, of func(*Turn) float64) []float64 {
	var all []float64
	for i := range turns {
		all = append(all, of(&turns[i]))
	}
	return all
}
