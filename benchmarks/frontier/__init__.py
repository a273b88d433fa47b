"""What the frontier itself costs: no Scrapy engine, no sites, pages that take no time."""
