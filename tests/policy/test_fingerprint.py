"""The fingerprint is Prometheus' own."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from receiver.policy.fingerprint import fingerprint
from tests.policy.tables import table

VECTORS = table("fingerprint_vectors.json")["vectors"]


@pytest.mark.parametrize("vector", VECTORS, ids=[vector["fingerprint"] for vector in VECTORS])
def test_the_fingerprint_is_the_one_that_go_computes(vector):
    assert fingerprint(vector["labels"]) == vector["fingerprint"]


@settings(deadline=None)  # busy machines take longer
@given(st.dictionaries(st.text(), st.text()), st.randoms())
def test_the_order_of_labels_does_not_matter(labels, random):
    shuffled = list(labels.items())
    random.shuffle(shuffled)

    assert fingerprint(dict(shuffled)) == fingerprint(labels)


def test_the_border_between_name_and_value_matters():
    assert fingerprint({"ab": "c"}) != fingerprint({"a": "bc"})


def test_half_of_a_surrogate_pair_still_has_a_fingerprint():
    assert len(fingerprint({"a": "\ud800"})) == 16
