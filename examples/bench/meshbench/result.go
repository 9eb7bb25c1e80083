package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// Result is what one contender achieved in one workload.
type Result struct {
	Workload  string  `json:"workload"`
	Contender string  `json:"contender"`
	Metric    string  `json:"metric"` // more is better for throughput, less for all others
	Value     float64 `json:"value"`  // the median
	Unit      string  `json:"unit"`
	Ratio     float64 `json:"ratio"` // to the baseline: the median of the ratios of all rounds
	Baseline  string  `json:"baseline"`
	Spread    Spread  `json:"spread"`
}

// Spread says how far apart the rounds are.
type Spread struct {
	Of     string  `json:"of"`   // ratio; of the baseline itself, value
	Kind   string  `json:"kind"` // iqr: from the first to the third quartile
	Low    float64 `json:"low"`
	High   float64 `json:"high"`
	Rounds int     `json:"rounds"`
}

// results sums up the values, of which each contender has one for each round.
func (w workload) results(values map[string][]float64) []Result {
	var rows []Result
	for _, contender := range w.contenders {
		rows = append(rows, w.result(values, contender, w.baseline))
	}
	if w.second != "" {
		rows = append(rows, w.result(values, meshd, w.second))
	}
	return rows
}

func (w workload) result(values map[string][]float64, contender, baseline string) Result {
	of, spread := "value", values[contender]
	ratios := make([]float64, len(spread))
	for i, value := range values[contender] {
		ratios[i] = value / values[baseline][i]
	}
	if contender != baseline {
		of, spread = "ratio", ratios
	}
	return Result{
		Workload: w.name, Contender: contender, Metric: w.metric, Value: quantile(values[contender], 0.5), Unit: w.unit,
		Ratio: quantile(ratios, 0.5), Baseline: baseline,
		Spread: Spread{of, "iqr", quantile(spread, 0.25), quantile(spread, 0.75), len(spread)},
	}
}

// quantile returns the value below which a part of the values lies, between two of them in proportion.
func quantile(values []float64, part float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	place := part * float64(len(sorted)-1)
	i := int(place)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	return sorted[i] + (place-float64(i))*(sorted[i+1]-sorted[i])
}

func printHeader(w io.Writer) {
	fmt.Fprintf(w, "%-21s %-11s %13s %-11s %-17s %s\n", "workload", "contender", "median", "unit", "ratio", "quartiles")
}

func printRows(w io.Writer, rows []Result) {
	for _, r := range rows {
		precision := 0
		if r.Value < 1000 {
			precision = 2
		}
		fmt.Fprintf(w, "%-21s %-11s %13.*f %-11s ", r.Workload, r.Contender, precision, r.Value, r.Unit)
		if r.Contender == r.Baseline {
			fmt.Fprintf(w, "%-17s %.*f to %.*f %s\n", "", precision, r.Spread.Low, precision, r.Spread.High, r.Unit)
		} else {
			fmt.Fprintf(w, "%-17s %.3f to %.3f, %d rounds\n", fmt.Sprintf("%.3f × %s", r.Ratio, r.Baseline), r.Spread.Low, r.Spread.High, r.Spread.Rounds)
		}
	}
}

// writeResults writes the file that programs read; an empty path is none.
func writeResults(path string, results []Result) error {
	if path == "" {
		return nil
	}
	text, err := json.MarshalIndent(results, "", "  ")
	if err != nil {
		return fmt.Errorf("encode results: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write results: %w", err)
	}
	return nil
}
