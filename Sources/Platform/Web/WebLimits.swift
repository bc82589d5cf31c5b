/// The numbers that bound the HTTP interface. All are decisions of this project unless a source is named.
public enum WebLimits {
  /// Bytes of a request body, where a route does not say otherwise.
  public static let bodyBytesMax = 256 * 1_024
  /// Bytes of a form that a person fills in.
  public static let formBytesMax = 16 * 1_024
  /// Bytes of all header fields of a request.
  public static let headerBytesMax = 32 * 1_024
  /// A connection that carries no request for this long is closed; a stream that is being answered is not idle.
  public static let connectionIdle = Duration.seconds(75)
  /// Items of a listing when the caller names no limit, and the most it may name.
  public static let pageItemsDefault = 50
  public static let pageItemsMax = 200
  /// Bytes of an opaque cursor.
  public static let cursorBytesMax = 1_024
  /// Characters of an `Idempotency-Key`.
  public static let idempotencyKeyCharactersMax = 255
  /// How long an answer is kept for its idempotency key.
  public static let idempotencyKept = Duration.seconds(24 * 3_600)
  /// After this long a request that never got its answer is taken to have died with its process.
  public static let idempotencyRunningMax = Duration.seconds(120)
  /// Bytes of an answer that is kept for its idempotency key; a longer one is not repeated.
  public static let idempotencyAnswerBytesMax = 256 * 1_024
  /// Events that wait for one slow listener. One more ends its stream; the browser comes back and reads anew.
  public static let eventsPerListenerMax = 64
  /// Listeners at once in one process.
  public static let listenersMax = 1_000
  /// The time between comments that keep a stream of events open.
  public static let heartbeat = Duration.seconds(15)
  /// After so many heartbeats (five minutes) a stream ends, so that its listener has to prove itself again.
  public static let heartbeatsPerStreamMax = 20
}
