"""A settings module that sets nothing: Scrapy as it ships."""
