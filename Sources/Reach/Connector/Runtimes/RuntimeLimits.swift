/// How a runtime supervises its Instances.
public struct RuntimePolicy: Sendable, Equatable {
  /// The wait before the first restart after a crash; each further one doubles it.
  public var backoffFirst: Duration
  /// The longest wait between restarts.
  public var backoffMax: Duration
  /// An Instance that ran this long counts as healthy: the next crash waits `backoffFirst` again.
  public var healthyAfter: Duration
  /// From SIGTERM to SIGKILL. OpenClaw ends itself after 25 s and asks for a budget of 30 s.
  public var stopGrace: Duration
  /// Where the Connector looks for a port when the operator names none. From `openclaw fleet`: ports start at 19100.
  /// They end below Linux's own range for outgoing connections, which starts at 32768.
  public var ports: ClosedRange<Int>

  public init(
    backoffFirst: Duration = .seconds(1), backoffMax: Duration = .seconds(60), healthyAfter: Duration = .seconds(60),
    stopGrace: Duration = .seconds(30), ports: ClosedRange<Int> = 19_100...32_740
  ) {
    self.backoffFirst = backoffFirst
    self.backoffMax = backoffMax
    self.healthyAfter = healthyAfter
    self.stopGrace = stopGrace
    self.ports = ports
  }

  public static let standard = RuntimePolicy()
}

/// The limits of this room, in one place.
enum RuntimeLimits {
  /// An output log that grew past this is moved to `output.log.1`; so one Instance's output takes twice this.
  static let outputBytesMax = 10 << 20
  /// How often output logs are looked at, and how long after SIGKILL a process may take to be gone.
  static let housekeepingInterval = Duration.seconds(15)
  static let killGrace = Duration.seconds(10)
  /// The most lines that one call for output returns, and the most bytes of the log it reads for them.
  static let outputLinesMax = 5_000
  static let outputTailBytesMax = 4 << 20
  /// Longer values than this are blotted out of output; shorter ones are words such as `UTC`.
  static let redactedCharactersMin = 12
  /// Linux takes no longer string than 128 KiB in an environment, and 2 MiB of them by default.
  static let environmentValueBytesMax = 120 << 10
  static let environmentBytesMax = 1 << 20
  /// How long `openclaw --version` and `openclaw devices approve` may take, and what they may write.
  static let versionTimeMax = Duration.seconds(20)
  static let toolTimeMax = Duration.seconds(60)
  static let toolOutputBytesMax = 64 << 10
  /// How often an adopted process is looked at where the kernel has no pidfd (before Linux 5.3).
  static let pollInterval = Duration.milliseconds(500)
  /// The Docker Engine's answers: the time for one, and the size of one.
  static let engineTimeMax = Duration.seconds(60)
  static let engineBodyBytesMax = 8 << 20
}
