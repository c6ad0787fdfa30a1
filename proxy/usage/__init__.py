"""What finished requests used and cost: the ledger, prices and summaries. No text of any request is kept."""
