import Basics
import Events

public enum AlertRouteTag {}
public typealias AlertRouteID = ID<AlertRouteTag>

/// Who is told of which alerts, and how often.
public struct AlertRoute: Codable, Sendable, Equatable {
  /// When a group is told. Sources: Alertmanager's defaults, with a shorter interval, because nothing here repeats
  /// within it.
  public struct Pace: Codable, Sendable, Equatable {
    /// How long the first alert of a group waits for others. Seconds.
    public var waitSeconds: Int
    /// How long a group that was told waits before it tells what changed. Seconds.
    public var intervalSeconds: Int
    /// How long until open alerts that did not change are told again. Seconds.
    public var repeatSeconds: Int

    public init(waitSeconds: Int = 10, intervalSeconds: Int = 120, repeatSeconds: Int = 4 * 3_600) {
      self.waitSeconds = waitSeconds
      self.intervalSeconds = intervalSeconds
      self.repeatSeconds = repeatSeconds
    }

    var wait: Duration { .seconds(waitSeconds) }
    var interval: Duration { .seconds(intervalSeconds) }
    var repeats: Duration { .seconds(repeatSeconds) }

    /// - Throws: `usage` for a pace that nobody could keep.
    func check() throws(AWError) {
      guard (0...3_600).contains(waitSeconds), (1...86_400).contains(intervalSeconds),
        (60...30 * 86_400).contains(repeatSeconds)
      else {
        throw AWError(
          .usage,
          "The route's times cannot be used: wait \(waitSeconds) s, interval \(intervalSeconds) s, repeat "
            + "\(repeatSeconds) s.",
          next: "Use 0 to 3600 s for the wait, 1 s to a day for the interval, and a minute to 30 days for the repeat.")
      }
    }
  }

  public let id: AlertRouteID
  public var name: Slug
  /// Routes are asked in this order.
  public var position: Int
  public var matchers: Matchers
  /// The endpoints that are told, by name.
  public var endpoints: [Slug]
  public var pace: Pace
  /// Whether the routes after this one are asked too, when it takes an alert.
  public var goesOn: Bool

  public init(
    id: AlertRouteID, name: Slug, position: Int, matchers: Matchers, endpoints: [Slug], pace: Pace = Pace(),
    goesOn: Bool = false
  ) {
    self.id = id
    self.name = name
    self.position = position
    self.matchers = matchers
    self.endpoints = endpoints
    self.pace = pace
    self.goesOn = goesOn
  }

  /// The routes that take an event, out of all in their order. A notice that opens nothing is told only where somebody
  /// asked for its type by name.
  static func taking(_ event: Event, among routes: [AlertRoute]) -> [AlertRoute] {
    var takers: [AlertRoute] = []
    let facts = Matchers.Facts(event)
    for route in routes where route.matchers.take(facts) {
      if event.condition == nil, route.matchers.types.isEmpty { continue }
      takers.append(route)
      if !route.goesOn { break }
    }
    return takers
  }
}
