"""The chat and the echo endpoints as the `websockets` library of Python sees them."""

import asyncio
import contextlib
import os
import sys

from chat import Member, assert_dense, chat_url, open_socket, run_scenarios, unique

MESSAGE_BYTES_MAX = 64 * 1024
MEMBER_COUNT = 5
MESSAGES_EACH = 40


async def all_members_see_one_order(base):
    room = unique("order")
    async with contextlib.AsyncExitStack() as stack:
        members = []
        for number in range(MEMBER_COUNT):
            members.append(await stack.enter_async_context(Member.enter(base, room, f"member {number}")))
        for number, member in enumerate(members):
            later = [await member.receive() for _ in members[number + 1 :]]
            assert [m["content"] for m in later] == [f"{m.username} joined" for m in members[number + 1 :]]
            assert_dense([member.joined, *later])

        async def publish(member):
            for count in range(MESSAGES_EACH):
                await member.say(f"{count}", id=f"{member.username}/{count}")

        await asyncio.gather(*(publish(member) for member in members))
        total = MEMBER_COUNT * MESSAGES_EACH
        logs = await asyncio.gather(*(member.receive_messages(total) for member in members))
        assert all(log == logs[0] for log in logs), "members saw different logs"
        assert_dense(logs[0])
        for member in members:
            own = [m for m in logs[0] if m["sender"] == member.username]
            assert [m["content"] for m in own] == [str(count) for count in range(MESSAGES_EACH)]
            assert [m["clientId"] for m in own] == [f"{member.username}/{m['content']}" for m in own]
        assert {m["roomId"] for m in logs[0]} == {room}
        assert len({m["id"] for m in logs[0]}) == total, "message ids repeat"


async def join_reaches_everyone_and_leave_the_rest(base):
    room = unique("notices")
    async with Member.enter(base, room, "Ann") as ann:
        assert ann.joined["sender"] == "SYSTEM"
        async with Member.enter(base, room, "Bob") as bob:
            assert await ann.receive() == bob.joined
        leave = await ann.receive()
        assert (leave["type"], leave["sender"], leave["content"]) == ("LEAVE", "SYSTEM", "Bob left")
        await ann.say("alone")
        assert (await ann.receive())["content"] == "alone", "a second notice of one leave"


async def a_vanished_connection_leaves_once(base):
    room = unique("vanish")
    async with Member.enter(base, room, "Ann") as ann:
        async with Member.enter(base, room, "Bob") as bob:
            await ann.receive()
            bob.socket.transport.abort()
        leave = await ann.receive()
        assert (leave["type"], leave["content"]) == ("LEAVE", "Bob left")
        await ann.say("alone")
        assert (await ann.receive())["content"] == "alone", "a second notice of one leave"


async def heartbeat_text_is_swallowed(base):
    room = unique("heartbeat")
    async with Member.enter(base, room, "Ann") as ann:
        await ann.socket.send("HEARTBEAT")
        await ann.say("after it")
        assert (await ann.receive())["content"] == "after it"


async def bad_messages_are_answered_to_the_sender_alone(base):
    room = unique("bad")
    async with Member.enter(base, room, "Ann") as ann, Member.enter(base, room, "Bob") as bob:
        await ann.receive()
        for text in ["{", "[]", "7", '"text"', "null", "{}", '{"content":7}', '{"content":null}', "", "heartbeat"]:
            await bob.socket.send(text)
            error = await bob.receive()
            assert (error["type"], error["code"]) == ("ERROR", "bad_message"), f"{text!r} got {error}"
            assert error["content"], "an error without words"
        await bob.say("still here")
        assert (await bob.receive())["content"] == "still here"
        assert (await ann.receive())["content"] == "still here", "the other member saw the error"


async def binary_in_chat_closes_with_1003(base):
    async with Member.enter(base, unique("binary"), "Ann") as ann:
        await ann.socket.send(b"\x00\x01")
        assert (await ann.closed())[0] == 1003


async def a_missing_name_or_room_closes_with_1008(base):
    for query in [{"roomId": "r"}, {"username": "u"}, {}, {"roomId": "", "username": "u"}, {"roomId": "r", "username": ""}]:
        async with open_socket(chat_url(base, **query)) as socket:
            code, reason = await Member(socket, "").closed()
            assert code == 1008, f"{query} closed with {code}"
            assert reason, f"{query} closed without a reason"


async def long_or_unprintable_names_close_with_1008(base):
    for room, name, fine in [
        ("r" * 128, "ü" * 32, True),
        ("r" * 129, "u", False),
        ("r", "ü" * 32 + "u", False),
        ("r", "a\nb", False),
        ("r\x7f", "u", False),
    ]:
        async with open_socket(chat_url(base, roomId=room, username=name)) as socket:
            if fine:
                await Member(socket, name).receive_until(lambda m, name=name: m["content"] == f"{name} joined")
            else:
                assert (await Member(socket, name).closed())[0] == 1008, f"{room!r} {name!r} was let in"


async def unicode_passes_unchanged(base):
    room, name = unique("Küche ☕ & 100 %+"), "Zoë 🦊"
    texts = ["naïve", "日本語", "👩‍👩‍👧‍👦", "שלום עולם", "\u0000 \u2028 \u2029 \ufeff \uffff", '"\\/\b\f\n\r\t', "<b>&amp;</b>"]
    async with Member.enter(base, room, name) as member:
        assert member.joined["roomId"] == room
        for text in texts:
            await member.say(text)
            got = await member.receive()
            assert (got["content"], got["sender"]) == (text, name), f"{text!r} came back as {got}"


async def a_fragmented_message_with_pings_between_arrives_whole(base):
    async with Member.enter(base, unique("fragments"), "Ann") as ann:

        async def fragments():
            for part in ['{"con', 'tent":"cut ', "in 🧩 ", "", 'pieces"}']:
                yield part
                await (await ann.socket.ping())

        await ann.socket.send(fragments())
        assert (await ann.receive())["content"] == "cut in 🧩 pieces"


async def a_ping_is_answered_with_its_payload(base):
    async with open_socket(f"{base}/echo") as socket:
        for payload in [b"", b"x" * 125]:
            await (await socket.ping(payload))
        await socket.send("after")
        assert await socket.recv() == "after"


async def the_largest_message_passes_and_one_byte_more_closes_with_1009(base):
    frame = '{"content":""}'
    async with Member.enter(base, unique("limit"), "Ann") as ann, Member.enter(base, ann.joined["roomId"], "Bob") as bob:
        await ann.receive()
        largest = "x" * (MESSAGE_BYTES_MAX - len(frame))
        await ann.socket.send(f'{{"content":"{largest}"}}')
        assert (await ann.receive())["content"] == largest
        assert (await bob.receive())["content"] == largest
        await ann.socket.send(f'{{"content":"{largest}x"}}')
        assert (await ann.closed())[0] == 1009
        assert (await bob.receive())["type"] == "LEAVE"


async def a_repeated_client_id_is_published_once(base):
    async with Member.enter(base, unique("repeat"), "Ann") as ann:
        for _ in range(3):
            await ann.say("once", id="a1")
        await ann.say("twice", id="a2")
        answers = [await ann.receive() for _ in range(4)]
        stored = [answer["clientId"] for answer in answers if answer["type"] == "MESSAGE"]
        assert stored == ["a1", "a2"], answers
        # The sender alone is told where the first one is.
        acks = [(answer["clientId"], answer["seq"]) for answer in answers if answer["type"] == "ACK"]
        first = next(answer for answer in answers if answer["type"] == "MESSAGE")
        assert acks == [("a1", first["seq"])] * 2, answers


async def a_position_recovers_exactly_what_was_missed(base):
    room = unique("recovery")
    async with Member.enter(base, room, "Ann") as ann:
        async with Member.enter(base, room, "Bob", hello=1) as bob:
            welcome = bob.before_join[0]
            assert (welcome["type"], welcome["roomId"], welcome["username"]) == ("WELCOME", room, "Bob")
            assert welcome["sessionId"] and welcome["epoch"]
            assert welcome["seq"] + 1 == bob.joined["seq"], f"{welcome} before {bob.joined}"
        await ann.receive_until(lambda m: m["type"] == "LEAVE")
        for count in range(20):
            await ann.say(f"missed {count}")
        await ann.receive_until(lambda m: m["content"] == "missed 19")
        position = {"sinceSeq": bob.joined["seq"], "epoch": welcome["epoch"], "hello": 1}
        async with Member.enter(base, room, "Bob", **position) as bob:
            assert bob.before_join[0]["type"] == "WELCOME"
            missed = bob.before_join[1:]
            assert [m["type"] for m in missed] == ["LEAVE"] + ["MESSAGE"] * 20, "not exactly what was missed"
            assert_dense([*missed, bob.joined])
            assert missed[0]["seq"] == position["sinceSeq"] + 1


async def an_unknown_epoch_gets_a_gap(base):
    async with Member.enter(base, unique("other"), "Ann", hello=1) as ann:
        foreign = ann.before_join[0]["epoch"]
    room = unique("epoch")
    async with Member.enter(base, room, "Ann", sinceSeq=5, epoch=foreign) as ann:
        assert ann.before_join, "no word about the lost position"
        gap = ann.before_join[0]
        assert (gap["type"], gap["roomId"]) == ("GAP", room) and gap["epoch"] != foreign, f"got {gap}"


async def echo_returns_a_mebibyte_verbatim(base):
    async with open_socket(f"{base}/echo") as socket:
        for payload in [os.urandom(1 << 20), b"", "", "text ✓", b"\xff" * 70_000, "ä" * 65_536]:
            await socket.send(payload)
            assert await socket.recv() == payload, f"{len(payload)} came back changed"


async def the_closing_handshake_echoes_the_code(base):
    for code in [1000, 1001, 3000, 4999]:
        async with open_socket(f"{base}/echo") as socket:
            await socket.close(code, "bye")
            assert socket.protocol.close_rcvd.code == code, f"{code} was answered with {socket.protocol.close_rcvd}"


SCENARIOS = [
    all_members_see_one_order,
    join_reaches_everyone_and_leave_the_rest,
    a_vanished_connection_leaves_once,
    heartbeat_text_is_swallowed,
    bad_messages_are_answered_to_the_sender_alone,
    binary_in_chat_closes_with_1003,
    a_missing_name_or_room_closes_with_1008,
    long_or_unprintable_names_close_with_1008,
    unicode_passes_unchanged,
    a_fragmented_message_with_pings_between_arrives_whole,
    a_ping_is_answered_with_its_payload,
    the_largest_message_passes_and_one_byte_more_closes_with_1009,
    a_repeated_client_id_is_published_once,
    a_position_recovers_exactly_what_was_missed,
    an_unknown_epoch_gets_a_gap,
    echo_returns_a_mebibyte_verbatim,
    the_closing_handshake_echoes_the_code,
]

if __name__ == "__main__":
    sys.exit(run_scenarios("python websockets", sys.argv[1], SCENARIOS))
