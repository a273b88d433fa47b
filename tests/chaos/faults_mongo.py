"""MongoDB stopped, killed, frozen, without its primary, out of disk, and with documents it can't take."""

from __future__ import annotations

from crawlers.items import digest

from .fault import Fault, Outage, PageFault, Plan
from .servers import MongoSet, TestableMongo
from .spider import Deed, fat_url

OLD = 0
"""The status of documents that were there before their pages were crawled."""

_OUT_OF_DISK_SPACE = 14031


class MongoRestart(Outage):
    """It ends in order and comes back."""

    name = "MongoDB restarted"
    target = "mongo"
    least_share = 0.3
    harmed: TestableMongo

    def inject(self) -> None:
        mongo = self.run.mongo
        self.harmed = mongo.primary() if isinstance(mongo, MongoSet) else mongo
        self.harm()

    def harm(self) -> None:
        """What is done to the member that takes the writes."""
        self.harmed.stop()

    def end(self) -> None:
        self.harmed.start()


class MongoKill(MongoRestart):
    """`kill -9`; it comes back with its journal."""

    name = "MongoDB kill -9"

    def harm(self) -> None:
        self.harmed.kill()


class PrimaryKill(MongoKill):
    """`kill -9` of the primary of three; the others choose a new one, and it comes back as a secondary."""

    name = "MongoDB primary of 3 kill -9"

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        plan.mongo_set = True
        self.lasts_s = 2 * plan.outage_s


class MongoPause(MongoRestart):
    """Frozen: connections stay open and nothing is answered."""

    name = "MongoDB paused"

    def harm(self) -> None:
        self.harmed.pause()

    def end(self) -> None:
        self.harmed.resume()


class DiskFull(Outage):
    """Writes are refused as on a disk without room."""

    name = "MongoDB out of disk"
    target = "mongo"

    def inject(self) -> None:
        self._set("alwaysOn")

    def end(self) -> None:
        self._set("off")

    def _set(self, mode: str) -> None:
        mongo = self.run.mongo
        data = {"failCommands": ["update"], "errorCode": _OUT_OF_DISK_SPACE}
        for server in mongo.members if isinstance(mongo, MongoSet) else [mongo]:
            with server.client() as client:
                client.admin.command("configureFailPoint", "failCommand", mode=mode, data=data)


class AlreadyThere(Fault):
    """Documents of pages that are yet to be crawled, as an earlier crawl left them."""

    name = "MongoDB duplicate keys"
    target = "mongo"

    def inject(self) -> None:
        pages = self.run.database["pages"]
        stored = set(pages.distinct("url"))
        urls = (f"{self.run.site_url}graph/{page}" for page in range(0, self.plan.pages, 3))
        self.old = [{"_id": digest([url]), "url": url, "status": OLD} for url in urls if url not in stored]
        for document in self.old:
            pages.update_one({"_id": document["_id"]}, {"$setOnInsert": document}, upsert=True)

    def problems(self) -> list[str]:
        alone = len(self.run.faults) == 1
        return ["all pages were stored before their old documents"] if alone and not self.old else []


class TooLarge(PageFault):
    """Items of more than 16 MB beside those of other pages; all but they are stored."""

    name = "MongoDB document over 16 MB"
    number = 2
    deed = Deed("fatten")

    def problems(self) -> list[str]:
        urls = [f"{self.run.site_url}graph/{page}" for page in self.pages]
        fat = {fat_url(url) for url in urls}
        stored = self.run.database["pages"].distinct("url", {"url": {"$in": urls}, "status": {"$ne": OLD}})
        refused = {document.get("url") for document in self.run.database["refused"].find()}
        if refused <= fat and refused >= {fat_url(url) for url in stored}:
            return []
        return [f"set aside are {refused}, not {fat}"]


MONGO_FAULTS: tuple[type[Fault], ...] = (
    *(MongoRestart, MongoKill, MongoPause, PrimaryKill, DiskFull, AlreadyThere, TooLarge),
)
