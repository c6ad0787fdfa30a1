"""Usage and cost of finished requests: ledger, prices, limits, summaries. No text of any request is stored."""
