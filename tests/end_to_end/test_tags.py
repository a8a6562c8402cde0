"""Systems that rank tags for posts: the same bytes on any launch and after any stop, metrics that a slow evaluator gives, lists by original ids, one sentence where tags are missing."""
import json
import math
import os
import pathlib
import unittest
from collections import Counter

import h5py

from trainings import Scratch, done, run, settings

SOURCE = pathlib.Path(os.environ["SPAR_SOURCE"])
REAL_DATA = pathlib.Path(os.environ.get("SPAR_DATA", SOURCE.parent / "shared" / "data"))


class Tags(Scratch):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.plain = cls.data
        cls.data = cls.folder / "tagged.h5"
        done("synth", "--users", 601, "--items", 197, "--interactions", 12001, "--tags", 173, "--to", cls.data)

    SHORT = settings(train__epochs=3, game__pretrain_epochs=1, model__dim=20)

    def same(self, system, label, *more):
        self.train(system, f"{label}-1", *more)
        expected, losses = self.rows(f"{label}-1"), self.losses(f"{label}-1")
        for ranks, threads in ((1, 2), (2, 1), (3, 1), (4, 1), (2, 2)):
            name = f"{label}-{ranks}-{threads}"
            self.train(system, name, *more, *settings(parallel__threads=threads), ranks=ranks)
            self.assertEqual(self.rows(name), expected, name)
            self.assertEqual(self.losses(name), losses, name)
        return expected

    def test_pitf_and_atf_hold_the_same_bytes_on_any_ranks_and_threads(self):
        batch = self.same("atf", "atf", *self.SHORT)
        shard = self.same("atf", "atf-shard", *self.SHORT, *settings(adversary__scope="shard", network__taps='["tag", "item"]'))
        self.assertNotEqual(batch, shard)
        self.same("pitf", "pitf", *settings(train__epochs=2, model__dim=20))
        self.train("atf", "messages", *self.SHORT, *settings(parallel__node_memory="false"), ranks=3)
        self.assertEqual(self.rows("messages"), batch)

    def test_without_weight_atf_is_pitf(self):
        common = settings(train__epochs=2, evaluate__every_epochs=0)
        self.train("atf", "weightless", *common, *settings(game__pretrain_epochs=0, adversary__weight=0))
        self.train("pitf", "base", *common)
        self.assertEqual(self.rows("weightless"), self.rows("base"))

    def test_a_run_stopped_in_the_adversarial_stage_goes_on_elsewhere_to_the_same_bytes(self):
        common = settings(game__pretrain_epochs=1, game__start_from="last", evaluate__patience=0, evaluate__every_epochs=0)
        self.goes_on_elsewhere("atf", 3, *common)

    def held_out(self, data):
        """The test posts: (user, item) -> tags, by original ids."""
        with h5py.File(data) as file:
            users, items, tags = (file[f"{kind}/ids"].asstr()[:] for kind in ("users", "items", "tags"))
            offsets, post_items, tag_offsets, tag_rows = (file[f"tags/test/{array}"][:] for array in ("offsets", "items", "tag_offsets", "tags"))
        return {(users[u], items[post_items[p]]): {tags[t] for t in tag_rows[tag_offsets[p]:tag_offsets[p + 1]]}
                for u in range(len(users)) for p in range(offsets[u], offsets[u + 1])}

    def test_metrics_are_means_over_posts_of_what_lists_of_tags_give(self):
        self.train("atf", "judged", *settings(train__epochs=12, game__pretrain_epochs=6))
        posts = self.held_out(self.data)
        self.assertGreater(len(posts), 400)
        wanted = self.folder / "wanted.tsv"
        wanted.write_text("".join(f"{user}\t{item}\n" for user, item in posts))
        lists = [done("recommend", self.place("judged"), "--posts", wanted, "--top", 5, ranks=ranks).stdout for ranks in (1, 3)]
        self.assertEqual(*lists)
        found = {post: [] for post in posts}
        for line in lists[0].splitlines():
            user, item, place, tag, score = line.split("\t")
            found[user, item].append((int(place), tag, float(score)))
        sums = {"precision@5": 0.0, "recall@5": 0.0, "f1@5": 0.0, "hr@5": 0.0, "ndcg@5": 0.0}
        for post, tags in posts.items():
            self.assertEqual([place for place, _, _ in found[post]], [1, 2, 3, 4, 5])
            self.assertEqual(sorted((score for _, _, score in found[post]), reverse=True), [score for _, _, score in found[post]])
            hits = [tag in tags for _, tag, _ in found[post]]
            precision, recall = sum(hits) / 5, sum(hits) / len(tags)
            gain = sum(hit / math.log2(k + 2) for k, hit in enumerate(hits))
            ideal = sum(1 / math.log2(k + 2) for k in range(min(5, len(tags))))
            for name, value in (("precision", precision), ("recall", recall), ("f1", 2 * precision * recall / max(precision + recall, 1e-9)),
                                ("hr", any(hits)), ("ndcg", gain / ideal)):
                sums[f"{name}@5"] += value / len(posts)
        results = [json.loads(done("evaluate", self.place("judged"), "--json", "--per-user", ranks=ranks).stdout) for ranks in (1, 3)]
        self.assertEqual(*results)
        self.assertEqual((results[0]["judged"], results[0]["posts"]), ("posts", len(posts)))
        for name, value in sums.items():
            self.assertAlmostEqual(results[0]["metrics"][name], value, delta=1e-9, msg=name)
        # Two tags of 173 a post by chance; the planted ones belong to items and users.
        self.assertGreater(results[0]["metrics"]["recall@5"], 3 * 5 / 173)
        [table] = (self.place("judged") / "results").glob("*.users.tsv")
        title, *lines = [line.split("\t") for line in table.read_text().splitlines()]
        self.assertEqual(title[:2], ["user", "item"])
        self.assertEqual({tuple(line[:2]) for line in lines}, set(posts))
        column = title.index("f1@5")
        self.assertAlmostEqual(sum(float(line[column]) for line in lines) / len(lines), sums["f1@5"], delta=1e-9)

    def test_runs_are_compared_post_by_post(self):
        self.train("pitf", "one", *settings(train__epochs=2))
        self.train("pitf", "two", *settings(train__epochs=4, train__seed=2))
        results = [json.loads(done("evaluate", self.place("one"), self.place("two"), "--json", ranks=ranks).stdout) for ranks in (1, 2)]
        self.assertEqual(*results)
        [difference] = results[0]["differences"]
        self.assertEqual(difference["test"], "paired t over posts")
        first, second = (run_result["metrics"]["f1@5"] for run_result in results[0]["runs"])
        self.assertAlmostEqual(difference["metrics"]["f1@5"]["difference"], second - first, delta=1e-12)
        self.assertEqual(difference["metrics"]["f1@5"]["count"], results[0]["runs"][0]["posts"])

    def test_tags_are_listed_for_every_user_with_every_item_in_the_order_asked_for(self):
        self.train("pitf", "listed", *settings(train__epochs=2))
        for ranks in (0, 3):
            lines = done("recommend", self.place("listed"), "--users", "u7,u3", "--items", "i5,i1", "--top", 2, "--format", "jsonl", ranks=ranks).stdout
            found = [json.loads(line) for line in lines.splitlines()]
            self.assertEqual([(post["user"], post["item"]) for post in found], [("u7", "i5"), ("u7", "i1"), ("u3", "i5"), ("u3", "i1")])
            for post in found:
                self.assertEqual(len({tag["tag"] for tag in post["tags"]}), 2)

    def refused(self, sentence, *words):
        for ranks in (0, 3):
            with self.subTest(words=words, ranks=ranks):
                result = run(*words, ranks=ranks)
                self.assertEqual(result.stderr, f"spar: error: {sentence}\n")
                self.assertEqual((result.returncode, result.stdout), (2, ""))

    def test_what_cannot_be_done_is_one_sentence(self):
        none = self.place("none")
        for system in ("pitf", "atf"):
            sentence = f"{self.plain}: has no tags, which {system} needs; spar import brings them with --tags"
            self.refused(sentence, "train", system, "--run", none, "--data", self.plain)
            self.refused(sentence, "plan", system, "--data", self.plain, "--ranks", 2)
        self.assertFalse(none.exists())
        unsplit = self.folder / "unsplit.h5"
        ratings, tags = self.folder / "ratings.tsv", self.folder / "tags.tsv"
        ratings.write_text("".join(f"{user}\t{item}\n" for user in range(9) for item in range(user, user + 4)))
        tags.write_text("".join(f"{user}\t{item}\t{tag}\n" for user in range(9) for item in range(user, user + 4) for tag in ("a", "b")))
        done("import", "delimited", ratings, "--columns", "user,item", "--tags", tags, "--tags-split", "none", "--to", unsplit)
        self.refused(f"{unsplit} holds no validation posts for early stopping, since no user has enough of them or they were not split: import it with "
                     "--tags-split leave-one-out, or --set evaluate.every_epochs=0", "train", "pitf", "--run", none, "--data", unsplit)
        self.train("pitf", "unjudged", *settings(train__epochs=1, evaluate__every_epochs=0), data=unsplit)
        for verb in ("evaluate", "attack"):
            self.refused(f"{self.place('unjudged')}: {unsplit} has no test posts to judge by; spar import --tags-split leave-one-out makes some",
                         verb, self.place("unjudged"))
        self.refused('evaluate.protocol = "sampled" needs fixed items for each user: pitf ranks tags, so it takes full',
                     "train", "pitf", "--run", none, "--data", self.data, "--set", "evaluate.protocol=sampled")
        place = self.place("unjudged")
        self.refused("pitf ranks tags for a user's item: name users and items by --users and --items, or posts by --posts FILE", "recommend", place)
        self.refused(f'item "x" is not in {unsplit}', "recommend", place, "--users", "1", "--items", "x")
        self.refused(f'user "x" is not in {unsplit}', "recommend", place, "--users", "x", "--items", "1")
        torn = self.folder / "torn.tsv"
        torn.write_text("1\t2\n1 2\n")
        self.refused(f'{torn}: the line "1 2" is not a user and an item with a tab between', "recommend", place, "--posts", torn)
        self.train("bpr-mf", "items", *settings(train__epochs=1))
        self.refused("--items and --posts name what tags are ranked for; bpr-mf ranks items for users",
                     "recommend", self.place("items"), "--users", "u1", "--items", "i1")

    def test_tables_of_tags_count_in_a_plan(self):
        plans = [json.loads(done("plan", system, "--data", self.data, "--ranks", 1, "--json", *settings(model__dim=8)).stdout)
                 for system in ("bpr-mf", "pitf")]
        # Values and accumulators of 16 columns.
        self.assertEqual(plans[1]["bytes"]["tables"] - plans[0]["bytes"]["tables"], 173 * 2 * 16 * 4)
        self.assertEqual(plans[1]["checkpoint_bytes"] - plans[0]["checkpoint_bytes"], 173 * 2 * 16 * 4)

    def popular_f1(self, data):
        """F1@5 on the test posts of the five tags that training has most often, whatever the post."""
        with h5py.File(data) as file:
            tags = file["tags/ids"].asstr()[:]
            counts = Counter(file["tags/train/tags"][:].tolist())
        best = {tags[row] for row, _ in counts.most_common(5)}
        values = []
        for given in self.held_out(data).values():
            hits = len(best & given)
            values.append(2 * hits / (5 + len(given)))
        return sum(values) / len(values)

    def test_tags_of_users_and_items_are_found_twice_as_often_as_by_popularity(self):
        source = REAL_DATA / "lastfm-hetrec" / "user_taggedartists.dat.gz"
        datasets = [(self.data, 20)]
        if source.is_file():
            lastfm = self.folder / "lastfm.h5"
            done("import", "delimited", source, "--columns", "userID,artistID", "--tags", source, "--tags-columns", "user,item,tag", "--to", lastfm)
            datasets.append((lastfm, 25))
        for data, epochs in datasets:
            self.train("pitf", data.stem, *settings(train__epochs=epochs, evaluate__every_epochs=5), data=data)
            found = json.loads(done("evaluate", self.place(data.stem), "--json").stdout)["metrics"]["f1@5"]
            self.assertGreater(found, 2 * self.popular_f1(data), data.name)


if __name__ == "__main__":
    unittest.main()
