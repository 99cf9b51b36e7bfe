"""The on-board buffer against a plain list that does the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fleet.buffer import Buffers

ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("push"), st.integers(0, 2), st.integers(1, 50)),
        st.tuples(st.just("drop"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("send"), st.just(0), st.integers(0, 600)),
        st.tuples(st.just("send again"), st.just(0), st.integers(0, 600)),
    ),
    max_size=80,
)


@given(ACTIONS)
def test_buffers_do_what_lists_do(actions: list[tuple[str, int, int]]) -> None:
    buffers = Buffers(3, max_frames=9, max_bytes=200)
    lists: list[list[list[int]]] = [[], [], []]  # [entry, size, bits left]
    for entry, (action, vehicle, number) in enumerate(actions):
        mine = lists[vehicle]
        if action == "push":
            room = len(mine) < 9 and sum(size for _, size, _ in mine) + number <= 200
            assert buffers.has_room(vehicle, number) == room
            if room:
                buffers.push(vehicle, entry, number)
                mine.append([entry, number, 8 * number])
        elif action == "drop":
            unsent = [one for one in mine if one[2] == 8 * one[1]]
            dropped = buffers.drop_oldest(vehicle)
            assert dropped == (unsent[0][0] if unsent else None)
            if unsent:
                mine.remove(unsent[0])
        else:
            sent, whole = buffers.send(np.full(3, number))
            for index, queue in enumerate(lists):
                expected = min(number, queue[0][2]) if queue else 0
                assert sent[index] == expected
                if not queue:
                    continue
                queue[0][2] -= expected
                assert (index in whole) == (queue[0][2] == 0 and expected > 0)
                if index in whole:
                    assert buffers.head(index) == (queue[0][0], queue[0][1])
                    if action == "send again":
                        buffers.again(index)
                        queue[0][2] = 8 * queue[0][1]
                    else:
                        buffers.pop(index)
                        queue.pop(0)
        for index, queue in enumerate(lists):
            assert buffers.count[index] == len(queue)
            assert buffers.held_bytes[index] == sum(size for _, size, _ in queue)
            assert buffers.backlog[index] == sum(left for _, _, left in queue)
