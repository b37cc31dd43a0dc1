"""One subscriber: what it is to get, and what waits for it."""

from typing import Final, Self

import anyio
import anyio.lowlevel

from asgi_rt.errors import HubError
from asgi_rt.hub.catch_up import CatchUp
from asgi_rt.hub.filtering import FAILURES, Filter, lets_through, log_failure
from asgi_rt.hub.mailbox import Lost, Mailbox, MailboxCounters, Offer, Overflow
from asgi_rt.hub.message import Cursor, Gap, Message
from asgi_rt.hub.outcome import SubscriptionSnapshot
from asgi_rt.hub.pushed import Pushed
from asgi_rt.hub.registry import Registry, Sink
from asgi_rt.hub.tickets import Ticket, Tickets

__all__ = ["Subscription"]

# How many are given to who iterates before others have their turn.
_TAKEN_IN_ONE_GO: Final = 64
_LOSES: Final = frozenset({Offer.MADE_ROOM, Offer.DROPPED})


class Subscription(Pushed):
    """What `Hub.subscribe` gives: an async context manager, and inside it an async iterator.

    It gives each `Message`, and a `Gap` in the place of messages that are missing. It ends when the
    hub is closed and nothing is left, and when the policy has sent the subscriber away, which
    `is_disconnected` tells. For one task at a time; a wait that is cancelled loses nothing.
    """

    __slots__ = (
        "_bell",
        "_catch_up",
        "_has_lost",
        "_history",
        "_is_entered",
        "_is_finishing",
        "_is_live",
        "_is_over",
        "_registry",
        "_taken",
        "_through",
        "_tickets",
        "after",
        "close_code",
        "connected",
        "filter",
        "filter_errors",
        "id",
        "is_disconnected",
        "mailbox",
        "origin",
        "recovered",
        "replayed",
        "sink",
        "start_cursor",
        "topics",
    )

    def __init__(
        self,
        registry: Registry["Subscription"],
        mailbox: Mailbox[Message | Gap],
        topics: tuple[str, ...],
        *,
        id: str,  # noqa: A002 - the public name
        origin: str | None = None,
        after: str | None = None,
        history: int = 0,
        filter: Filter | None = None,  # noqa: A002 - the public name
        close_code: int = 1013,
    ) -> None:
        super().__init__(is_choosy=filter is not None)
        self._registry = registry
        self.mailbox = mailbox
        """What waits for it."""
        self.topics = topics
        """The topics and patterns it is subscribed to."""
        self.id = id
        """Its name among all subscriptions."""
        self.origin = id if origin is None else origin
        """It does not get what is published with `exclude` and this name."""
        self.filter = filter
        """What tells whether it gets a message of its topics; None for all of them."""
        self.close_code = close_code
        """The code with which a WebSocket is closed that is sent away."""
        self.connected: tuple[str, ...] = ()
        """The topics that the backplane brings for it."""
        self.after = after
        """The cursor behind which it begins; to be changed before it is entered, if at all."""
        self._history = history
        self._catch_up: CatchUp | None = None
        self._tickets: Tickets | None = None
        # Up to where history was read, while what was read there may still come by another way: by
        # the backplane, or to very many subscribers in several turns.
        self._through: Cursor | None = None
        self._taken = 0
        self._bell: anyio.Event | None = None
        self._is_entered = False
        self._is_live = False
        self._is_finishing = False
        self._is_over = False
        self._has_lost = False
        self.sink: Sink | None = None
        """Who is woken instead of the one who iterates."""
        self.is_disconnected = False
        """Whether it was sent away, as it was too slow and its policy is to disconnect."""
        self.recovered: bool | None = None
        """Whether all that came after its cursor can be given; None where it had none."""
        self.replayed = 0
        """Messages that it got from history."""
        self.filter_errors = 0
        """How often its filter has raised: the message was not for it then."""
        self.start_cursor: Cursor | None = None
        """Where it began, once it has; None without history."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message | Gap:
        if not self._is_entered:
            raise HubError("a subscription is iterated inside of `async with`, which begins it")
        self._taken += 1
        if self._taken == _TAKEN_IN_ONE_GO:
            self._taken = 0
            await anyio.lowlevel.checkpoint()
        while (item := self.take()) is None:
            if self.must_load:
                await self.load()
            elif self.is_over:
                raise StopAsyncIteration
            else:
                self._bell = self._bell or anyio.Event()
                await self._bell.wait()
        return item

    @property
    def policy(self) -> Overflow:
        """What becomes of messages when it is slow."""
        return self.mailbox.policy

    @property
    def counters(self) -> MailboxCounters:
        """What was published to it since it caught up the last time, and what became of that."""
        counters = self.mailbox.counters
        pushed = self.pushed_in_all
        return counters._replace(
            published=counters.published + pushed, delivered=counters.delivered + pushed
        )

    @property
    def snapshot(self) -> SubscriptionSnapshot:
        """How it fares."""
        counters, policy = self.counters._asdict(), self.policy.value
        return SubscriptionSnapshot(
            self.id, self.topics, policy, replayed=self.replayed, **counters
        )

    # Beginning and end

    def start_nowait(self) -> None:
        """Subscribe, where the hub's backplane is that of this process."""
        local = self._registry.local
        assert local is not None
        self._enter()
        try:
            self.start_cursor = place = local.cursor_nowait()
            if self.after is not None or self._history:
                self._catch_up = CatchUp(self.topics, self._is_for_it)
                self._catch_up.begin_nowait(local, place, self.after, self._history)
        except BaseException:
            self.end()
            raise
        self._go_on()

    async def start(self) -> None:
        """Subscribe. What is published after it returned is not missed."""
        if self._registry.local is not None:
            self.start_nowait()
            return
        self._enter()
        # It notes what comes before it is known where to begin.
        self._catch_up = catch_up = CatchUp(self.topics, self._is_for_it)
        try:
            backplane = self._registry.backplane
            await self._registry.connect(self)
            self.start_cursor = place = await backplane.cursor()
            await catch_up.begin(backplane, place, self.after, self._history)
        except BaseException:
            await self.aclose()
            raise
        self._go_on()

    def _enter(self) -> None:
        if self._is_entered:
            raise HubError("a subscription is entered once; ask the hub for another")
        self._registry.admit(self)
        self._is_entered = True

    async def aclose(self) -> None:
        """Unsubscribe; what waits is dropped. May be repeated."""
        self.end()
        if self._registry.local is None:
            await self._registry.disconnect(self)  # shielded, and bounded

    def end(self) -> None:
        """Unsubscribe at once, as far as this process is concerned."""
        self._is_over = True
        self._is_live = False
        self._catch_up = None
        if self._tickets is not None:
            self._tickets.drop_all(self.mailbox)
        self.mailbox.close()
        self.stop_pushes()
        self._registry.dismiss(self)
        self._ring()

    def finish(self) -> None:
        """End when what waits was given."""
        self._is_finishing = True
        if self._catch_up is not None:
            local = self._registry.local
            self._catch_up.end(None if local is None else local.cursor_nowait())
        self._ring()

    # What comes next

    def take(self) -> Message | Gap | None:
        """What comes next, if it is there; never waits."""
        if self._catch_up is not None:
            item = self._catch_up.take(self._registry.local)
            self._go_on()
            if item is not None or not self._is_live:
                return item
        taken = self.mailbox.take()
        if self._tickets:
            self._tickets.admit(self.mailbox)
        return Gap("overflow", taken.missed, None) if isinstance(taken, Lost) else taken

    @property
    def must_load(self) -> bool:
        """Whether what comes next must be asked of the backplane, by `load`."""
        return self._catch_up is not None and self._catch_up.must_read

    async def load(self) -> None:
        """Ask the backplane for what comes next. Cancelling it loses nothing."""
        if self._catch_up is not None:
            await self._catch_up.read(self._registry.backplane)
            self._go_on()

    @property
    def is_over(self) -> bool:
        """Whether nothing comes any more."""
        has_more = self._catch_up is not None or self.mailbox or self._tickets
        return self._is_over or (self._is_finishing and not has_more)

    def _go_on(self) -> None:
        """Take part in what is published, once nothing is left to read."""
        catch_up = self._catch_up
        if catch_up is None:
            self._is_live = not self._is_over
            return
        if self.after is not None:
            self.recovered = catch_up.recovered
        self.replayed = catch_up.replayed
        was_live, self._is_live = self._is_live, catch_up.is_live
        if self._is_live and not was_live:
            self._through = catch_up.through
            self.is_choosy = self.filter is not None or self._through is not None
        if catch_up.is_done:
            self._catch_up = None

    def _go_back(self) -> bool:
        """Read history again, as though it was sent away and has come back; whether it does."""
        catch_up = self._catch_up
        if catch_up is None or not catch_up.go_back():
            return False
        self.mailbox = self.mailbox.anew()
        self._is_live = False
        return True

    def _ring(self) -> None:
        self.stop_pushes()
        if self.sink is not None:
            self.sink.wake()
        if self._bell is not None:
            self._bell.set()
            self._bell = None

    # For the hub

    def allow_pushes(self) -> None:
        if not (self._is_over or self._is_finishing):
            super().allow_pushes()

    def wants(self, message: Message) -> bool:
        """Whether a message of its topics is for it, and was not read in history before."""
        if self._through is not None and self._was_read(message, self._through):
            return False
        return self._is_for_it(message)

    def _was_read(self, message: Message, through: Cursor) -> bool:
        if message.epoch == through.epoch and message.position <= through.position:
            return True
        # They come in order: no more are late.
        self._through = None
        self.is_choosy = self.filter is not None
        self.take_seat()
        return False

    def _is_for_it(self, message: Message) -> bool:
        if message.exclude is not None and message.exclude == self.origin:
            return False
        if self.filter is None:
            return True
        try:
            return lets_through(self.filter, message)
        except FAILURES:
            self.filter_errors += 1
            if self.filter_errors == 1:
                log_failure(self.id)
            return False

    def offer(self, message: Message) -> Offer:
        """Have a message wait that it wants and that could not be pushed."""
        if self._is_finishing or self._is_over:
            return Offer.CLOSED
        if self._catch_up is not None and not self._is_live:  # it will be read there
            self._catch_up.note(message)
            return Offer.KEPT
        if self._tickets:
            return Offer.FULL
        offer = self.mailbox.offer(message, len(message.payload), (message.topic, message.key))
        if offer is Offer.OVERFLOWED:
            if self._go_back():
                return self.offer(message)  # it will be read there
            self._send_away()
        elif self.sink is not None or self._bell is not None:
            self._ring()
        if offer in _LOSES:
            self._note_loss()
        return offer

    def queue(self, message: Message) -> Ticket:
        """Have a message wait that there was no room for, and its publisher with it."""
        if self._tickets is None:
            self._tickets = Tickets()
        return self._tickets.add(message)

    def give_up(self, ticket: Ticket) -> None:
        """Drop a message that waits for room; counted."""
        if self._tickets is not None and not ticket.settled.is_set():
            self._tickets.discard(ticket, self.mailbox)
            self._note_loss()

    def lose(self) -> None:
        """Count a message that there was no room for, and tell of it in its place."""
        (self._tickets or self.mailbox).lose()
        self._note_loss()
        self._ring()

    def tell_outage(self) -> None:
        """Have it told that messages may be missing here."""
        if not self._is_live:
            if self._catch_up is not None:
                self._catch_up.lose()  # what it reads after this is whole
            return
        offer = self.mailbox.offer(Gap("outage", None, None), 0)
        if offer is Offer.OVERFLOWED:
            if self._go_back():
                self.tell_outage()
            else:
                self._send_away()
        elif offer is Offer.FULL:
            self.lose()
        else:
            if offer in _LOSES:
                self._note_loss()
            self._ring()

    def _send_away(self) -> None:
        self.is_disconnected = True
        self.end()
        self._registry.note_slow(self)

    def _note_loss(self) -> None:
        if not self._has_lost:
            self._has_lost = True
            self._registry.note_slow(self)
