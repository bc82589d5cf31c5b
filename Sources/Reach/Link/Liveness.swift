import Basics

/// Decides when a link is suspect and when it is dead, from what was read and which pings came back.
///
/// Both ends run one, always, busy or idle:
///
/// | state | event | next | action |
/// |---|---|---|---|
/// | quiet | `pingAfter` without a byte, or it is asked to | pinging | send a ping |
/// | pinging | the ping's answer | quiet | - |
/// | pinging | `suspectAfter` without it or any byte | suspect | stop routing new streams here |
/// | suspect | any byte | quiet | route again |
/// | suspect | `deadAfter` without a byte since the ping | dead | close |
/// | any but dead | `signBytes` read, and `signAfter` since this end pinged | the same | send a sign |
///
/// A byte of any kind proves that the peer's TCP lives, but only the answer proves that its HTTP/2 does; so a byte
/// lifts a suspicion and the next ping follows `pingAfter` later.
///
/// The sign is for a far end that sends much over a slow wire. What it asks waits behind what it sent, and this end has
/// nothing to say before it has read half a window, which may take longer than silence is borne. So who takes in much
/// tells now and then that it does.
public struct Liveness: Sendable {
  public struct Policy: Sendable, Equatable {
    public var pingAfter: Duration
    public var suspectAfter: Duration
    public var deadAfter: Duration
    /// Shorter than `deadAfter` by what a wire and a busy machine may add.
    public var signAfter: Duration
    /// Less than this is no bulk, and its answers say enough.
    public var signBytes: Int

    /// Together with the time to close, silence is noticed within ten seconds.
    public init(
      pingAfter: Duration = .seconds(5), suspectAfter: Duration = .milliseconds(2_500),
      deadAfter: Duration = .milliseconds(4_500), signAfter: Duration = .seconds(3), signBytes: Int = 64 * 1024
    ) {
      self.pingAfter = pingAfter
      self.suspectAfter = suspectAfter
      self.deadAfter = deadAfter
      self.signAfter = signAfter
      self.signBytes = signBytes
    }
  }

  enum State: Sendable, Equatable {
    case quiet
    case pinging(id: UInt64, since: Duration)
    case suspect(id: UInt64, since: Duration)
    case dead
  }

  public enum Action: Sendable, Equatable {
    case none
    case sendPing(UInt64)
    /// A ping whose answer nobody waits for.
    case sendSign
    case suspected
    case recovered
    case died
  }

  public let policy: Policy
  private(set) var state = State.quiet
  /// The time of the last byte read, on the caller's monotonic scale.
  public private(set) var lastRead: Duration
  /// The last measured round trip.
  public private(set) var roundTrip: Duration?
  private var nextPing: UInt64 = 1
  /// When this end last said something by itself, and what was read since.
  private var lastSpoke: Duration
  private var readSinceSpoke = 0

  public init(policy: Policy = Policy(), now: Duration) {
    self.policy = policy
    lastRead = now
    lastSpoke = now
  }

  public var isSuspect: Bool {
    switch state {
    case .suspect, .dead: true
    case .quiet, .pinging: false
    }
  }

  public mutating func bytesRead(_ count: Int, now: Duration) -> Action {
    lastRead = now
    readSinceSpoke += count
    switch state {
    case .suspect:
      state = .quiet
      return .recovered
    case .quiet, .pinging:
      guard readSinceSpoke >= policy.signBytes, now - lastSpoke >= policy.signAfter else { return .none }
      spoke(now)
      return .sendSign
    case .dead: return .none
    }
  }

  private mutating func spoke(_ now: Duration) { (lastSpoke, readSinceSpoke) = (now, 0) }

  public mutating func pingAnswered(_ id: UInt64, now: Duration) -> Action {
    switch state {
    case .pinging(id, let since):
      roundTrip = now - since
      state = .quiet
      return .none
    case .suspect(id, let since):
      roundTrip = now - since
      state = .quiet
      return .recovered
    default:
      return .none
    }
  }

  /// Pings at once, unless a ping is under way: for an end that has said something that has no answer. Without it the
  /// far end would have read later than this one, and a wire that then swallows both ways would look as if it had
  /// swallowed one of them first.
  public mutating func ask(now: Duration) -> Action {
    guard case .quiet = state else { return .none }
    return ping(now: now)
  }

  private mutating func ping(now: Duration) -> Action {
    defer { nextPing += 1 }
    spoke(now)
    state = .pinging(id: nextPing, since: now)
    return .sendPing(nextPing)
  }

  /// When `tick` has something to decide next; nil when the link is dead. A byte or an answer may move it later, never
  /// earlier, so a timer that fires too early only has to ask again. Only `ask` moves it earlier.
  public var due: Duration? {
    switch state {
    case .quiet: lastRead + policy.pingAfter
    case .pinging(_, let since): max(since, lastRead) + policy.suspectAfter
    case .suspect(_, let since): max(since, lastRead) + policy.deadAfter
    case .dead: nil
    }
  }

  /// Call it when `due` has come.
  public mutating func tick(now: Duration) -> Action {
    switch state {
    case .quiet:
      guard now - lastRead >= policy.pingAfter else { return .none }
      return ping(now: now)
    case .pinging(let id, let since):
      guard now - max(since, lastRead) >= policy.suspectAfter else { return .none }
      state = .suspect(id: id, since: since)
      return .suspected
    case .suspect(_, let since):
      guard now - max(since, lastRead) >= policy.deadAfter else { return .none }
      state = .dead
      return .died
    case .dead:
      return .none
    }
  }
}
