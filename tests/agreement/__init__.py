"""fastopt beside the frameworks it takes its formulas from, in float64: the installed framework is the judge."""
