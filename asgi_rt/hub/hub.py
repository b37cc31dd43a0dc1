"""Publishing to many subscribers, none of whom can hold up another."""

import logging
import secrets
from collections.abc import Sequence
from functools import partial
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

import anyio
import anyio.lowlevel

from asgi_rt.errors import HubError
from asgi_rt.hub.backplane.memory import MAX_HISTORY_BYTES, MemoryBackplane
from asgi_rt.hub.backplane.protocol import Backplane, Health
from asgi_rt.hub.checks import check_hub, check_subscription, checked_message
from asgi_rt.hub.delivery import Delivery
from asgi_rt.hub.distribution import Distribution, Waiting, give_up, wait_for_room
from asgi_rt.hub.filtering import Filter
from asgi_rt.hub.history import History
from asgi_rt.hub.home import Home
from asgi_rt.hub.interests import Interests
from asgi_rt.hub.mailbox import Overflow, mailbox_for
from asgi_rt.hub.message import Message
from asgi_rt.hub.outcome import HubSnapshot, Published, TopicSnapshot
from asgi_rt.hub.routes import Routes
from asgi_rt.hub.slow_log import SlowLog
from asgi_rt.hub.subscription import Subscription
from asgi_rt.hub.tally import Tally
from asgi_rt.hub.topics import check_topic
from asgi_rt.hub.workers import warn_of_workers

__all__ = ["MAX_BYTES", "MAX_MESSAGES", "Hub"]

MAX_MESSAGES: Final = 256
"""How many messages wait for a subscriber by default."""
MAX_BYTES: Final = 1024 * 1024
"""How many bytes of messages wait for a subscriber by default."""
_MAX_MESSAGE_BYTES: Final = 1024 * 1024
_MAX_KNOWN_TOPICS: Final = 10_000
_CLOSE_SECONDS: Final = 10.0
_logger = logging.getLogger("asgi_rt.hub")


class Hub:
    """Topics that anybody publishes to, and subscribers that each have a mailbox of their own.

    - `history`: how much of each topic is kept, so that who comes back gets what they missed; None
      keeps nothing. `max_history_bytes` bounds all topics together.
    - `max_message_bytes`: what a message's payload may have at most.
    - `backplane`: what carries messages to other hubs; by default there are none.

    May be made at module level. It belongs to the event loop of its subscribers, and to any task of
    that; other threads use `publish_from_thread`. `async with hub:` holds it open on one event
    loop, and closes it: in the lifespan of an app, and always with a backplane of many processes.
    """

    def __init__(
        self,
        *,
        history: History | None = History(),  # noqa: B008 - it cannot be changed
        max_history_bytes: int | None = MAX_HISTORY_BYTES,
        max_message_bytes: int = _MAX_MESSAGE_BYTES,
        backplane: Backplane | None = None,
    ) -> None:
        if backplane is None:
            backplane = MemoryBackplane(history=history, max_history_bytes=max_history_bytes)
        check_hub(backplane, max_message_bytes)
        self.backplane: Backplane = backplane
        self.local = backplane if isinstance(backplane, MemoryBackplane) else None
        self.max_message_bytes = max_message_bytes
        """How many bytes a message's payload may have."""
        self._routes: Routes[Subscription] = Routes()
        self._subscriptions: dict[str, Subscription] = {}
        self._interests = Interests(backplane)
        self._delivery = Delivery()
        self._tally = Tally()
        self._slow_log = SlowLog()
        self._home = Home()
        self._id = secrets.token_hex(4)
        self._numbers = count(1)
        self._known_topics: set[str] = set()
        self._is_entered = False
        self._is_open = False
        self._is_closed = False

    # Publishing

    async def publish(
        self,
        topic: str,
        data: Any,
        *,
        key: str | None = None,
        exclude: Subscription | str | None = None,
    ) -> Published:
        """Give a message to all who are subscribed to a topic; what became of it.

        `data` is a str, sent as it is, bytes, or any value, made JSON: once, here. For subscribers
        that coalesce it takes the place of older messages of its topic with the same `key`, or of
        those without one. `exclude` is who does not get it: a subscription, or the `origin` of
        some.

        Waits for no client but those who asked for that by `Overflow.BLOCK`; cancelled in such a
        wait, everybody else has it already. Raises ValueError for a topic that is none, a message
        that is too large and a key or an origin of more than 255 characters, TypeError for data
        that cannot be made JSON, HubError on another event loop or after `close`, and
        BackplaneError.
        """
        message = self._message(topic, data, key, exclude)
        if self.local is None:
            self._require_open()
            cursor = await self.backplane.publish(message)
            return Published(None if cursor is None else str(cursor), 0, 0, 0, 0)
        waiting: Waiting = []
        try:
            given = self._give_locally(message, waiting, self.local)
            if given is None:
                return self._queued(message)
            if not given.is_over:
                await self._delivery.go_on(given)
        except BaseException:
            give_up(waiting)
            raise
        if waiting:
            return await wait_for_room(waiting, given.published)
        if self._delivery.is_long:
            await anyio.lowlevel.checkpoint()
        return given.published

    def publish_nowait(
        self,
        topic: str,
        data: Any,
        *,
        key: str | None = None,
        exclude: Subscription | str | None = None,
    ) -> Published:
        """`publish`, for where nothing can be awaited: for who blocks and is full it is lost.

        Raises HubError where the backplane is one of many processes.
        """
        message = self._message(topic, data, key, exclude)
        if self.local is None:
            raise HubError("this hub's backplane can only be awaited: use `await publish(...)`")
        given = self._give_locally(message, None, self.local)
        if given is None:
            return self._queued(message)
        self._delivery.finish(given)
        return given.published

    def publish_from_thread(
        self,
        topic: str,
        data: Any,
        *,
        key: str | None = None,
        exclude: Subscription | str | None = None,
        timeout: float | None = 30.0,
    ) -> Published:
        """`publish`, from a thread that is not the event loop's; waits until it is done.

        Any number of threads may. Raises TimeoutError after `timeout` seconds, when it is not known
        who got it; HubError in the event loop's own thread, and where the hub is on none yet.
        """

        async def publish() -> Published:
            with anyio.fail_after(timeout):
                return await self.publish(topic, data, key=key, exclude=exclude)

        return self._home.run_from_thread(publish, timeout)

    def _give_locally(
        self, message: Message, waiting: Waiting | None, local: MemoryBackplane
    ) -> Distribution | None:
        """Give a message to all hubs; None where it comes after another that is being given."""
        if not local.number_nowait(message, self):
            return self._give(message, waiting)
        if local.is_giving:
            local.give_nowait(message, self, partial(self.receive, message))
            return None
        given: list[Distribution | None] = [None]
        try:
            local.give_nowait(message, self, lambda: given.append(self._give(message, waiting)))
        except BaseException:
            self._delivery.finish(given[-1])
            raise
        return given[-1]

    def _give(self, message: Message, waiting: Waiting | None) -> Distribution | None:
        self._tally.published += 1
        return self._delivery.give(message, self._routes.match(message.topic), waiting)

    def _queued(self, message: Message) -> Published:
        return Published(message.id, 0, self._routes.count(message.topic), 0, 0)

    def _message(
        self, topic: str, data: Any, key: str | None, exclude: Subscription | str | None
    ) -> Message:
        if topic not in self._known_topics:
            self._learn(topic)
        if self._is_closed:
            raise HubError("the hub is closed: nothing can be published any more")
        self._enter_home()
        if isinstance(exclude, Subscription):
            exclude = exclude.origin
        return checked_message(topic, data, key, exclude, self.max_message_bytes)

    def _learn(self, topic: str) -> None:
        """Check a topic, once for as long as there are not too many."""
        check_topic(topic)
        if len(self._known_topics) >= _MAX_KNOWN_TOPICS:
            self._known_topics.clear()
        self._known_topics.add(topic)

    # Subscribing

    def subscribe(
        self,
        *topics: str,
        policy: Overflow = Overflow.DROP_OLDEST,
        max_messages: int = MAX_MESSAGES,
        max_bytes: int = MAX_BYTES,
        after: str | None = None,
        history: int = 0,
        filter: Filter | None = None,  # noqa: A002 - what it does
        origin: str | None = None,
        close_code: int = 1013,
    ) -> Subscription:
        """A subscription to topics and patterns, to be entered by `async with`.

        In a pattern `*` stands for one token and `>` for all that follow: text that a client chose
        goes through `topic_token`. What waits is bounded by `max_messages` and `max_bytes`; when
        that is full the `policy` says what is lost. `after` is the id of a message: what came after
        it is given first, or a `Gap` where not all of it can be. `history` is how many of the last
        messages are given first, where there is no `after`. `filter` is called with each message,
        and must be quick. `origin` is the name that `exclude` knows it by. `close_code` is for
        WebSockets that the policy disconnects.

        Raises ValueError for topics and bounds that are none and for an origin of more than 255
        characters, TypeError for a policy, a filter, an origin and a history of another type.
        """
        check_subscription(topics, history=history, choose=filter, origin=origin)
        return Subscription(
            self,
            mailbox_for(policy, max_messages=max_messages, max_bytes=max_bytes),
            tuple(dict.fromkeys(topics)),
            id=f"{self._id}-{next(self._numbers)}",
            origin=origin,
            after=after,
            history=history,
            filter=filter,
            close_code=close_code,
        )

    def subscriber_count(self, topic: str) -> int:
        """How many get what is published to a topic; of a pattern, how many asked for just that."""
        return self._routes.count(topic)

    # For subscriptions

    def admit(self, subscription: Subscription) -> None:
        if self._is_closed:
            raise HubError("the hub is closed: nothing can be subscribed to any more")
        self._enter_home()
        if self.local is not None:
            for topic in subscription.topics:
                self.local.subscribe_nowait(self, topic)  # raises, if at all, for the first
        self._subscriptions[subscription.id] = subscription
        for topic in subscription.topics:
            seats = self._routes.add(topic, subscription)
            if len(subscription.topics) == 1:
                subscription.seats = seats

    def dismiss(self, subscription: Subscription) -> None:
        if self._subscriptions.pop(subscription.id, None) is None:
            return
        self._tally.retire(subscription)
        for topic in subscription.topics:
            self._routes.remove(topic, subscription)
            if self.local is not None and not self._routes.has(topic):
                self.local.unsubscribe_nowait(self, topic)

    async def connect(self, subscription: Subscription) -> None:
        self._require_open()
        for topic in subscription.topics:
            await self._interests.acquire(self, topic)
            subscription.connected += (topic,)

    async def disconnect(self, subscription: Subscription) -> None:
        topics, subscription.connected = subscription.connected, ()
        await self._interests.release(self, topics)

    def note_slow(self, subscription: Subscription) -> None:
        self._slow_log.note(subscription)

    def _enter_home(self) -> None:
        if self._home.enter(is_held=bool(self._subscriptions) or self._is_open):
            self._delivery = Delivery()  # a turn of the former event loop may never have ended
            if self.local is not None:
                warn_of_workers()

    def _require_open(self) -> None:
        if not self._is_open:
            raise HubError("a hub of many processes is used inside of `async with hub:`")

    # For the backplane

    def receive(self, message: Message) -> None:
        """A message has come that another hub, or this one, gave to the backplane."""
        self._delivery.finish(self._give(message, None))

    def lose(self, patterns: Sequence[str]) -> None:
        """Messages may have been lost: tell those who are subscribed to these patterns."""
        self._delivery.end_burst()
        told = {each for pattern in patterns for each in self._routes.holders(pattern)}
        for subscription in told:
            subscription.tell_outage()

    # As a whole

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise HubError(
                "this hub is held open already; a second event loop takes a hub of its own"
            )
        self._enter_home()
        self._is_entered = True
        self._is_closed = False
        try:
            await self.backplane.open(self)
        except BaseException:
            self._is_entered = False
            await self._close_backplane()
            raise
        self._is_open = True
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self.close()
        finally:
            self._is_open = False
            try:
                await self._close_backplane()
            finally:
                self._is_entered = False

    async def _close_backplane(self) -> None:
        with anyio.move_on_after(_CLOSE_SECONDS, shield=True) as scope:
            await self.backplane.close(self)
        if scope.cancelled_caught:
            _logger.warning("the backplane of a hub did not close within %g s", _CLOSE_SECONDS)

    def close(self) -> None:
        """End every subscription once it has had what there is; nothing is published any more.

        May be repeated. Raises HubError in a thread that is not the event loop's.
        """
        is_here = self._home.require_here_or_at_rest()
        self._is_closed = True
        finish = partial(self._finish, tuple(self._subscriptions.values()))
        if self.local is not None and is_here:
            self.local.do_in_turn(partial(self._delivery.close, finish))
        else:
            self._delivery.close(finish)

    def _finish(self, subscriptions: Sequence[Subscription]) -> None:
        self._slow_log.say_rest()
        for subscription in subscriptions:
            subscription.finish()

    def health(self) -> Health:
        """How the backplane fares."""
        return self.backplane.health()

    def snapshot(self) -> HubSnapshot:
        """Everything there is to know at this moment. Takes time in proportion to subscribers."""
        self._delivery.end_burst()
        subscriptions = [each.snapshot for each in self._subscriptions.values()]
        local = self.local
        return HubSnapshot(
            published=self._tally.published,
            delivered=self._tally.delivered + sum(each.delivered for each in subscriptions),
            dropped=self._tally.dropped + sum(each.dropped for each in subscriptions),
            disconnected=self._tally.disconnected,
            history_messages=0 if local is None else local.history_messages,
            history_bytes=0 if local is None else local.history_bytes,
            topics={
                topic: TopicSnapshot(len(group.members), group.published)
                for topic, group in self._routes.groups.items()
            },
            subscriptions=subscriptions,
        )
