"""Tests of circles.py."""

import pathlib
import tempfile
import textwrap
import unittest

import circles


class Circles(unittest.TestCase):
    def found(self, files):
        """Returns the circles of a crate of these files, as text."""
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in files.items():
                file = root / name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(textwrap.dedent(text))
            graphs = sorted(circles.needs(root).items())
            return [" ".join([*place, *circle]) for place, graph in graphs for circle in circles.circles(graph)]

    def test_modules_that_need_each_other_are_a_circle(self):
        files = {
            "cache.rs": "use crate::http::Problem;",
            "http/mod.rs": "pub struct Problem;",
            "http/limits.rs": "use crate::cache::{Cache, self};",
        }
        self.assertEqual(self.found(files), ["cache http"])

    def test_a_longer_circle_is_found_from_its_first_module(self):
        files = {
            "store/mod.rs": "",
            "store/c.rs": "use super::a::{A, B};",
            "store/a.rs": "use super::b::B;",
            "store/b.rs": "fn f() { super::c::g() }",
        }
        self.assertEqual(self.found(files), ["store a b c"])

    def test_a_reexport_leads_to_the_module_behind_it(self):
        files = {
            "cache/mod.rs": "pub use objects::Lease;",
            "cache/objects.rs": "use super::feeds::key;",
            "cache/feeds.rs": "use super::{Lease, count};",
        }
        self.assertEqual(self.found(files), ["cache feeds objects"])

    def test_parents_and_children_may_name_each_other(self):
        files = {
            "store/mod.rs": "pub use posts::Post; pub struct Store;",
            "store/posts.rs": "use super::Store;",
            "lib.rs": "pub mod store;",
        }
        self.assertEqual(self.found(files), [])

    def test_comments_texts_and_tests_count_for_nothing(self):
        files = {
            "a.rs": "use crate::b::B;",
            "b.rs": """
                //! See [`crate::a::A`].
                /* crate::a */
                const TEXT: &str = "crate::a";
                const CHARS: [char; 2] = ['"', '\\''];
                #[cfg(test)]
                mod tests {
                    use crate::a::A;
                }
                #[cfg(test)]
                use crate::a::A;
            """,
            "b/tests.rs": "use crate::a::A;",
        }
        self.assertEqual(self.found(files), [])
        files["b.rs"] += "\nfn f<'a>(a: &'a crate::a::A) {}\n"
        self.assertEqual(self.found(files), ["a b"])

    def test_the_place_of_each_need_is_named(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "a.rs").write_text("\n\nuse crate::b::B;\n")
            (root / "b.rs").write_text("use std::fmt;\nuse crate::a;\n")
            graph = circles.needs(root)[()]
            self.assertEqual(graph["a"], {"b": f"{root}/a.rs:3: crate::b::B"})
            self.assertEqual(graph["b"], {"a": f"{root}/b.rs:2: crate::a"})


if __name__ == "__main__":
    unittest.main()
