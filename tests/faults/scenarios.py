"""What a server does on a disk that fails; run by `run`, in a mount namespace of its own."""

import asyncio
import json
import pathlib
import signal
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS / "clients"), str(TESTS.parent / ".ci" / "lib")]
import harness  # noqa: E402
from chat import chat_url, open_socket, run_scenarios  # noqa: E402
from disk import Room, ask, assert_kept, failing, log_of, remount, small_disk, stalling, start_in_vain  # noqa: E402

MEBIBYTE = 1 << 20
# So many refusals in a row, and the disk is taken to be full.
REFUSALS = 10
LARGE = 16 * 1024
SMALL = 100


async def a_full_disk_refuses_and_mends_without_a_restart(binary):
    with small_disk(12) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(6 * MEBIBYTE))
        options = ["--data", disk / "data"]
        with harness.Server(binary, *options) as server:
            async with Room.watched(server, "full") as room:
                refused = await fill(room)
                await reading_goes_on(room)
                await state_is(server, 503, "unavailable")
                ballast.unlink()
                async with asyncio.timeout(5):
                    while not await room.say(room.new_content(LARGE)):
                        pass
                assert await room.post(room.new_content(LARGE)), "REST is still refused"
                await state_is(server, 200, "healthy")
                await room.settle()
            server.kill()
        assert not refused & room.contents, "shown and refused"
        with harness.Server(binary, *options) as server:
            epoch, log = await log_of(server, "full")
        assert epoch == room.epoch, "nothing was lost, and yet the epoch is another"
        assert_kept(log, room.shown)
        assert not refused & {message["content"] for message in log}, "refused and stored"


async def fill(room):
    """Publishes until the disk is full; what was refused."""
    refused, acknowledged = set(), set()
    # Where no large message fits a small one may, and the store of which that can be said is well.
    for size in (LARGE, SMALL):
        in_a_row = 0
        while in_a_row < REFUSALS:
            publish = room.post if (len(refused) + len(acknowledged)) % 2 else room.say
            content = room.new_content(size)
            if await publish(content):
                acknowledged.add(content)
                in_a_row = 0
            else:
                refused.add(content)
                in_a_row += 1
    await room.settle()
    assert acknowledged <= room.contents, "acknowledged, and not shown"
    return refused


async def reading_goes_on(room):
    """What was shown is read by REST and by a newcomer, who sees nothing else."""
    _, log = await log_of(room.server, room.name)
    assert_kept(log, room.shown)
    url = chat_url(room.server.ws_url, roomId=room.name, username="reader", sinceSeq=0)
    async with open_socket(url) as socket:
        for message in log:
            assert json.loads(await socket.recv()) == message
    status, _, _ = await ask(room.server, "GET", "/healthz")
    assert status == 200, f"healthz says {status}"


async def state_is(server, ready, store):
    status, _, _ = await ask(server, "GET", "/readyz")
    assert status == ready, f"readyz says {status}"
    _, _, stats = await ask(server, "GET", "/api/stats")
    assert stats["store"] == store, f"the store is {stats['store']}"


async def a_disk_that_became_read_only_refuses_and_mends_without_a_restart(binary):
    # A file system with files open for writing cannot be remounted: the calls get the error that they would get.
    with small_disk(32) as disk, harness.Server(binary, "--data", disk) as server:
        async with Room.watched(server, "frozen") as room:
            assert await room.say(room.new_content(SMALL))
            async with failing(server.pid, "pwrite64,ftruncate,fallocate", "EROFS"):
                refused = [room.new_content(SMALL) for _ in range(4)]
                assert not await room.say(refused[0]) and not await room.post(refused[1])
                assert not await room.say(refused[2]) and not await room.post(refused[3])
                await state_is(server, 503, "unavailable")
                await reading_goes_on(room)
            assert await room.say(room.new_content(SMALL)) and await room.post(room.new_content(SMALL))
            # Who was refused tries again, with the same id.
            assert await room.say(refused[0]) and await room.post(refused[1])
            await state_is(server, 200, "healthy")
            await room.settle()
            assert not set(refused[2:]) & room.contents, "shown and refused"
        server.kill()


async def an_async_room_goes_on_and_says_that_it_has_lost_something(binary):
    with small_disk(32) as disk:
        (disk / "foghorn.toml").write_text('[history]\ndurability = "async"\n')
        options = ["--config", disk / "foghorn.toml", "--data", disk / "data"]
        with harness.Server(binary, *options) as server:
            async with Room.watched(server, "hasty") as room:
                kept = [room.new_content(SMALL) for _ in range(3)]
                for content in kept:
                    assert await room.say(content)
                await stored(server, room, kept)
                async with failing(server.pid, "pwrite64,ftruncate,fallocate", "EROFS"):
                    for _ in range(10):
                        assert await room.say(room.new_content(SMALL)) and await room.post(room.new_content(SMALL))
                    assert room.renewals == [], "the log began anew on a disk that cannot be written to"
                async with asyncio.timeout(10):
                    while not room.renewals:
                        await room.say(room.new_content(SMALL))
                (before, epoch), = room.renewals
                assert epoch != before, "messages were lost under the same epoch"
                after = [room.new_content(SMALL) for _ in range(3)]
                for content in after:
                    assert await room.say(content)
                stored_epoch, log = await stored(server, room, kept + after)
                assert stored_epoch == epoch, "REST tells another epoch"
                assert_kept(log, room.shown)
                await old_positions_get_a_gap(server, room, epoch, len(log), before)


async def stored(server, room, contents):
    """Epoch and messages of a room, once it has these."""
    async with asyncio.timeout(5):
        while True:
            epoch, log = await log_of(server, room.name)
            if set(contents) <= {message["content"] for message in log}:
                return epoch, log


async def a_read_only_directory_is_said_at_the_start(binary):
    with small_disk(32) as disk:
        with harness.Server(binary, "--data", disk / "used") as server:
            async with Room.watched(server, "kept") as room:
                assert await room.say(room.new_content(SMALL))
        (disk / "empty").mkdir()
        remount(disk, "ro")
        for name in ["used", "empty", "new"]:
            status, said = start_in_vain(binary, "--data", disk / name)
            assert status == 1 and len(said.splitlines()) == 1, f"status {status}: {said}"
            assert str(disk / name) in said and "Read-only file system" in said, said
        remount(disk, "rw")
        with harness.Server(binary, "--data", disk / "used") as server:
            epoch, log = await log_of(server, "kept")
            assert epoch == room.epoch, "nothing was lost, and yet the epoch is another"
            assert_kept(log, room.shown)


async def a_failed_fsync_is_never_believed(binary):
    with small_disk(32) as disk:
        (disk / "foghorn.toml").write_text('[history]\ndurability = "fsync"\n')
        options = ["--config", disk / "foghorn.toml", "--data", disk / "data"]
        with harness.Server(binary, *options) as server:
            async with Room.watched(server, "lost") as room:
                assert await room.say(room.new_content(SMALL)) and await room.post(room.new_content(SMALL))
                refused = [room.new_content(SMALL) for _ in range(6)]
                async with failing(server.pid, "fsync,fdatasync", "EIO"):
                    assert not await room.say(refused[0]) and not await room.post(refused[1])
                # The disk is well again, but what it said of the past counts.
                await stays_failed(room, refused[2:])
                await reading_goes_on(room)
                await room.settle()
        assert not set(refused) & room.contents, "shown and refused"
        await another_epoch(binary, options, room, refused)


async def a_failed_fsync_of_a_checkpoint_is_never_believed(binary):
    with small_disk(64) as disk:
        options = ["--data", disk / "data"]
        with harness.Server(binary, *options) as server:
            async with Room.watched(server, "moved") as room:
                async with failing(server.pid, "fsync,fdatasync", "EIO"):
                    # Commits do not wait for the disk here, but the log is moved into the database once it is long.
                    while await room.say(room.new_content(LARGE)):
                        assert len(room.contents) < 4096, "no checkpoint is ever taken"
                refused = [room.new_content(SMALL) for _ in range(4)]
                await stays_failed(room, refused)
                await reading_goes_on(room)
                await room.settle()
            server.kill()
        await another_epoch(binary, options, room, refused)


async def stays_failed(room, contents):
    """Nothing is accepted until a restart, and that is said."""
    for number, content in enumerate(contents):
        assert not await (room.post if number % 2 else room.say)(content), "accepted after a failed fsync"
    await state_is(room.server, 503, "failed")


async def another_epoch(binary, options, room, refused):
    """After a restart nothing is missing that was shown, the epoch is another one, and publishing goes on."""
    with harness.Server(binary, *options) as server:
        epoch, log = await log_of(server, room.name)
        assert epoch != room.epoch, "messages may have been lost under the same epoch"
        assert_kept(log, room.shown)
        await old_positions_get_a_gap(server, room, epoch, len(log), room.epoch)
        async with Room.watched(server, room.name) as again:
            for content in refused:
                assert await again.post(content), "refused after the restart"
            await again.settle()
        _, log = await log_of(server, room.name)
        for content in refused:
            copies = sum(message["content"] == content for message in log)
            assert copies == 1, f"one id, {copies} messages"


async def old_positions_get_a_gap(server, room, epoch, head, old_epoch):
    query = {"sinceSeq": max(room.shown), "epoch": old_epoch}
    async with open_socket(chat_url(server.ws_url, roomId=room.name, username="old", **query)) as socket:
        gap = json.loads(await socket.recv())
    assert gap.pop("timestamp"), gap
    assert gap == {"type": "GAP", "roomId": room.name, "from": 1, "to": head, "epoch": epoch}, gap


async def a_log_on_the_same_full_disk_costs_lines_and_nothing_else(binary):
    with small_disk(12) as disk:
        ballast = disk / "ballast"
        ballast.write_bytes(bytes(6 * MEBIBYTE))
        with open(disk / "log", "ab", buffering=0) as log:
            with harness.Server(binary, "--log", "debug", "--data", disk / "data", stderr=log) as server:
                async with Room.watched(server, "full") as room:
                    await fill(room)
                    async with asyncio.timeout(10):
                        # The last page of the log has room for some lines; each of these sessions leaves one.
                        while (await ask(server, "GET", "/api/stats"))[2]["log"]["dropped"] == 0:
                            async with open_socket(server.ws_url + "/echo"):
                                pass
                    await reading_goes_on(room)
                    ballast.unlink()
                    async with asyncio.timeout(5):
                        while not await room.say(room.new_content(LARGE)):
                            pass
                    await room.settle()
        text = (disk / "log").read_text()
        assert "lines of the log could not be written and were dropped" in text, text[-2000:]


async def a_second_signal_ends_a_server_whose_store_stalls(binary):
    with small_disk(32) as disk:
        (disk / "foghorn.toml").write_text('[shutdown]\ngrace = "1h"\n')
        server = harness.Server(binary, "--config", disk / "foghorn.toml", "--data", disk / "data")
        with server:
            async with open_socket(chat_url(server.ws_url, roomId="stalled", username="u")) as socket:
                await socket.recv()
                async with stalling(server.pid, "pwrite64,fdatasync,fsync"):
                    await socket.send('{"content":"x"}')
                    await asyncio.sleep(0.5)
                    server.signal(signal.SIGTERM)
                    await asyncio.sleep(0.5)
                    server.signal(signal.SIGTERM)
                    await asyncio.sleep(0.5)
                # The tracer holds what it stalls also when it is dying. A server that waited would end in good order now.
                status = await asyncio.to_thread(server.ended)
            assert status == 1, f"ended with {status}"


SCENARIOS = [
    a_full_disk_refuses_and_mends_without_a_restart,
    a_disk_that_became_read_only_refuses_and_mends_without_a_restart,
    an_async_room_goes_on_and_says_that_it_has_lost_something,
    a_read_only_directory_is_said_at_the_start,
    a_failed_fsync_is_never_believed,
    a_failed_fsync_of_a_checkpoint_is_never_believed,
    a_log_on_the_same_full_disk_costs_lines_and_nothing_else,
    a_second_signal_ends_a_server_whose_store_stalls,
]


if __name__ == "__main__":
    sys.exit(run_scenarios("faults", sys.argv[1], SCENARIOS))
