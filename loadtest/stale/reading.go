package stale

import "time"

// Reading is one read: what it must show at least, and what it shows. It is used again for
// the next one.
type Reading struct {
	judge *Judge
	began int64
	first int64
	// least are the versions that rows from first on must have at least; 0 for those that
	// were shown.
	least []int64
	age   int64
}

// Begin begins a read of the rows first … last, or of none if last is less than first. It
// comes before the read is sent.
func (r *Reading) Begin(j *Judge, first, last int64) {
	r.judge, r.began, r.first, r.age, r.least = j, j.clock(), first, 0, r.least[:0]
	for key := first; key <= last; key++ {
		r.least = append(r.least, j.rows[key].newest.Load())
	}
}

// Row says that the read shows a version of a row.
func (r *Reading) Row(key, version int64) {
	if key < r.first || key >= r.first+int64(len(r.least)) {
		return
	}
	least := &r.least[key-r.first]
	if version < *least {
		r.older(key, version)
	}
	*least = 0
}

func (r *Reading) older(key, version int64) {
	r.age = max(r.age, r.began-r.judge.succeeded(key, version), 1)
}

// Rows says that no rows follow: those that were not shown are not there for the reader.
func (r *Reading) Rows() {
	for i, least := range r.least {
		if least > 0 {
			r.older(r.first+int64(i), 0)
		}
	}
}

// agesMax is how many ages of a sum are tried, each half of the one before.
const agesMax = 24

// Sum says that the read shows a sum of the versions of its rows. Its age is found to within
// a factor of two, and not above what it is.
func (r *Reading) Sum(sum int64) {
	var least int64
	for _, version := range r.least {
		least += version
	}
	if sum >= least {
		return
	}
	r.age = 1
	for age, tries := r.began, 0; tries < agesMax && age > 1; age, tries = age/2, tries+1 {
		if sum < r.sumAt(r.began-age) {
			r.age = age
			return
		}
	}
}

func (r *Reading) sumAt(time int64) (sum int64) {
	for i := range r.least {
		sum += r.judge.at(r.first+int64(i), time)
	}
	return sum
}

// Behind returns how long before the read what it lacks had been acknowledged; 0 if it lacks
// nothing.
func (r *Reading) Behind() time.Duration { return time.Duration(r.age) }
