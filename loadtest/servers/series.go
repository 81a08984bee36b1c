package servers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
)

// metricsAddress is how the log of a sidecar says where its metrics are. startLines is how far
// back that is looked for.
var metricsAddress = regexp.MustCompile(`metrics=(http://\S+)`)

const startLines = 1000

// Series reads what the sidecar tells Prometheus: the value of each series, by its name with
// its labels, as they are written. It needs FreshetOptions.Metrics.
func (f *Freshet) Series(ctx context.Context) (map[string]float64, error) {
	found := metricsAddress.FindStringSubmatch(f.LogTail(startLines))
	if found == nil {
		return nil, errors.New("read metrics: the log names no address of theirs")
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, found[1], nil)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	request.Close = true // the next reader may come in an hour
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("read metrics: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read metrics: %s", response.Status)
	}
	all := map[string]float64{}
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if value, err := strconv.ParseFloat(lines.Text()[at+1:], 64); err == nil && at > 0 {
			all[lines.Text()[:at]] = value
		}
	}
	return all, lines.Err()
}
