"""Retrieve, then re-rank: candidates by a run of inner products, their order by another run."""
import json
import unittest

from trainings import Scratch, done, run, settings

ITEMS = 397


class Rerank(Scratch):
    def setUp(self):
        if self.place("first").exists():
            return
        self.train("bpr-mf", "first", *settings(train__epochs=2, model__dim=9, parallel__shards=16))
        self.train("neumf", "second", *settings(train__epochs=2, parallel__shards=8, train__batch_size=300))
        self.train("neumf", "normed", *settings(train__epochs=2, network__batch_norm="true", train__batch_size=300))
        self.train("mult-vae", "vae", *settings(train__epochs=1, network__layers="[24,12]"))

    def judged(self, name, *more, ranks=0):
        words = ("evaluate", self.place(name), "--json", "--metrics", "hr,ndcg,recall,mrr", "--cutoffs", "5,20", *more)
        return json.loads(done(*words, ranks=ranks).stdout)

    def test_all_items_as_candidates_give_the_full_ranking_of_the_second_stage(self):
        for second in ("second", "normed"):
            full = self.judged(second)
            for first in ("first", "vae"):
                reranked = self.judged(second, "--retrieve", self.place(first), "--candidates", ITEMS)
                prefix = f"reranked@{ITEMS}-"
                self.assertEqual({prefix + name: value for name, value in full["metrics"].items()}, reranked["metrics"])
                self.assertEqual({prefix + name: value for name, value in full["standard_errors"].items()}, reranked["standard_errors"])
                self.assertEqual(reranked["protocol"], f"reranked@{ITEMS}")
                self.assertEqual(reranked["retriever"], str(self.place(first)))

    def test_every_launch_gives_the_same_figures_and_lists(self):
        words = ("--retrieve", self.place("first"), "--candidates", 40)
        figures = [self.judged("second", *words, ranks=ranks) for ranks in (0, 2, 3, 4)]
        for other in figures[1:]:
            self.assertEqual(other, figures[0])
        full = self.judged("second")
        self.assertNotEqual(list(full["metrics"].values()), list(figures[0]["metrics"].values()))
        lists = {done("recommend", self.place("second"), *words, "--top", 7, ranks=ranks).stdout for ranks in (0, 2, 3, 4)}
        self.assertEqual(len(lists), 1)

    def test_lists_hold_the_first_stages_best_in_the_order_of_the_second(self):
        def listed(name, top, *more):
            text = done("recommend", self.place(name), "--top", top, *more).stdout
            lists = {}
            for line in text.splitlines():
                user, _, item, score = line.split("\t")
                lists.setdefault(user, []).append((item, score))
            return lists

        best, whole = listed("first", 30), listed("second", ITEMS)
        reranked = listed("second", 10, "--retrieve", self.place("first"), "--candidates", 30)
        self.assertEqual(sorted(reranked), sorted(whole))
        for user, items in reranked.items():
            found = {item for item, _ in best[user]}
            self.assertEqual(items, [pair for pair in whole[user] if pair[0] in found][:10])
        everything = listed("second", 10, "--retrieve", self.place("first"), "--candidates", ITEMS)
        self.assertEqual(everything, {user: items[:10] for user, items in whole.items()})

    def test_results_are_saved_apart_and_never_stand_beside_a_full_ranking(self):
        words = ("--retrieve", self.place("first"), "--candidates", 40)
        text = done("evaluate", self.place("second"), *words, "--cutoffs", "10").stdout
        self.assertIn("reranked@40", text)
        self.assertTrue((self.place("second") / "results" / "evaluate-test-best-reranked-40.json").exists())

    def refused(self, sentence, *words):
        result = run(*words)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(sentence, result.stderr)

    def test_what_does_not_fit_is_refused_in_one_sentence(self):
        evaluate = ("evaluate", self.place("second"), "--cutoffs", "10,50")
        first = ("--retrieve", self.place("first"))
        self.refused("49 candidates cannot fill lists of 50 places", *evaluate, *first, "--candidates", 49)
        self.refused("are no inner products of vectors", *evaluate, "--retrieve", self.place("normed"))
        self.refused("leave out --protocol", *evaluate, *first, "--protocol", "full")
        self.refused("nowhere", *evaluate, "--retrieve", self.place("nowhere"))
        self.refused("cannot fill lists of --top 20", "recommend", self.place("second"), *first, "--candidates", 19, "--top", 20)
        other = self.folder / "other.h5"
        done("synth", "--users", 301, "--items", 97, "--interactions", 4001, "--to", other)
        self.train("bpr-mf", "other", *settings(train__epochs=1), data=other)
        self.refused("both need the same data set", *evaluate, "--retrieve", self.place("other"))


if __name__ == "__main__":
    unittest.main()
