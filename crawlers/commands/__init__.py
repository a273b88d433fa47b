"""Commands of Scrapy's own command line: `scrapy frontier …` asks and repairs a crawl."""
