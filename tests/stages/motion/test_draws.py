from __future__ import annotations

import numpy as np

from mbps_dataset.stages.motion.draws import pick, seeded_draws


def test_a_seed_and_a_run_fix_the_numbers():
    first, again, other = seeded_draws(3, 0), seeded_draws(3, 0), seeded_draws(3, 1)
    numbers = first(100)
    np.testing.assert_array_equal(numbers, again(100))
    assert numbers.dtype == np.float32 and (numbers != other(100)).any() and (numbers != first(100)).any()
    assert (numbers >= 0).all() and (numbers < 1).all()


def test_a_draw_picks_one_of_n_and_never_the_next():
    almost_one = np.nextafter(np.float32(1), np.float32(0))
    np.testing.assert_array_equal(pick(np.float32([0, 0.5, almost_one]), 4), [0, 2, 3])
    np.testing.assert_array_equal(pick(np.float32([almost_one, 0.5]), [2**26, 3]), [2**26 - 4, 1])
