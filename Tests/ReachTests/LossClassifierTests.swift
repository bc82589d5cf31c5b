import Basics
import Link
import Testing

@Suite("The class of a loss")
struct LossClassifierTests {
  typealias Evidence = LossEvidence
  static let at = Timestamp(millisecondsSince1970: 1_000_000)
  static let busy = Evidence.TCP(unacknowledged: 3, retransmitted: 4, roundTripMicroseconds: 300)
  static let calm = Evidence.TCP(unacknowledged: 0, retransmitted: 0, roundTripMicroseconds: 300)

  static let held = Evidence.TCP(unacknowledged: 0, retransmitted: 2, roundTripMicroseconds: 300, unsent: 39)

  static func hearing(_ segments: Int) -> Evidence.TCP {
    Evidence.TCP(unacknowledged: 3, retransmitted: 4, roundTripMicroseconds: 300, heardSincePing: segments)
  }

  static func seen(
    _ phase: Evidence.Phase = .established, by observer: Evidence.Observer = .gateway, signal: Evidence.Signal? = nil,
    socket: Evidence.SocketEnd? = nil, silent: Int64? = nil, tcp: Evidence.TCP? = nil, tls: Evidence.TLSFailure? = nil,
    skew: Int64? = nil, refusal: ErrorCode? = nil, stall: Int64 = 0, together: Int = 1, before: Int = 10
  ) -> Evidence {
    Evidence(
      observer: observer, phase: phase, at: at, signal: signal, socket: socket, silentMilliseconds: silent,
      livedMilliseconds: 60_000, tcp: tcp, tls: tls, clockSkewMilliseconds: skew, refusal: refusal?.id,
      stallMilliseconds: stall, lostTogether: together, linksBefore: before)
  }

  static func account(connector: Bool = true, kernel: Bool = true, _ theirs: Evidence? = nil) -> PeerAccount {
    PeerAccount(sameConnector: connector, sameKernel: kernel, seen: theirs)
  }

  /// What one end sees, and what it is called before the other has told.
  static let alone: [(Evidence, LossClass)] = [
    (seen(signal: .drain, socket: .closed), .gracefulDrain),
    (seen(signal: .unregister, socket: .closed), .connectorShutdown),
    (seen(signal: .superseded), .superseded), (seen(signal: .revoked), .authRejected),
    (seen(signal: .protocolViolation), .protocolError), (seen(signal: .goAway), .protocolError),
    (seen(signal: .shed), .backpressureShed),
    (seen(socket: .closed), .connectorCrash), (seen(socket: .reset), .connectorCrash),
    (seen(by: .connector, socket: .closed), .gatewayCrash), (seen(by: .connector, socket: .reset), .gatewayCrash),
    (seen(socket: .timedOut), .networkBlackhole), (seen(socket: .unreachable), .networkUnreachable),
    (seen(silent: 10_000, tcp: busy), .networkBlackhole), (seen(silent: 10_000, tcp: calm), .hostSuspended),
    (seen(silent: 10_000), .networkBlackhole),
    (seen(.resolving, by: .connector), .dnsFailure),
    (seen(.connecting, by: .connector, socket: .refused), .connectRefused),
    (seen(.connecting, by: .connector, socket: .timedOut), .connectTimeout),
    (seen(.connecting, by: .connector), .connectTimeout),
    (seen(.connecting, by: .connector, socket: .unreachable), .networkUnreachable),
    (seen(.handshake, by: .connector, tls: .foreignAuthority), .tlsFailed),
    (seen(.handshake, by: .connector, tls: .closed), .tlsFailed),
    (seen(.handshake, by: .connector, tls: .notYetValid), .clockSkew),
    (seen(.handshake, by: .connector, tls: .expired, skew: -400_000), .clockSkew),
    (seen(.registration, by: .connector, refusal: .hostUnknown), .authRejected),
    (seen(.registration, by: .connector, refusal: .linkClockSkew), .clockSkew),
    (seen(.registration, by: .connector, refusal: .linkRefused), .protocolError),
    (seen(.registration, by: .connector), .gatewayOverload),
    (seen(socket: .closed, together: 6, before: 10), .networkUnreachable),
    (seen(socket: .closed, stall: 2_000, together: 6, before: 10), .gatewayOverload),
    (seen(socket: .closed, together: 2, before: 2), .connectorCrash),
    (seen(), .unknown),
  ]

  @Test("one end alone", arguments: alone.indices)
  func single(_ index: Int) {
    let (evidence, expected) = Self.alone[index]
    #expect(LossClassifier.classify(evidence).lossClass == expected)
  }

  /// What the gateway saw, what the Connector tells afterwards, and what it then is.
  static let told: [(Evidence, PeerAccount, LossClass)] = [
    (seen(socket: .closed), account(kernel: false), .hostReboot),
    (seen(silent: 10_000, tcp: busy), account(kernel: false), .hostReboot),
    (seen(socket: .closed), account(connector: false), .connectorCrash),
    (seen(socket: .reset), account(seen(by: .connector, socket: .reset)), .networkReset),
    (seen(socket: .closed), account(seen(by: .connector, socket: .closed)), .networkReset),
    (seen(silent: 10_000, tcp: busy), account(seen(by: .connector, silent: 10_000)), .networkBlackhole),
    (seen(silent: 10_000, tcp: busy), account(seen(by: .connector, socket: .timedOut)), .networkBlackhole),
    (seen(silent: 10_000, tcp: busy), account(seen(by: .connector, socket: .closed)), .asymmetric),
    (seen(socket: .reset), account(seen(by: .connector, silent: 10_000)), .asymmetric),
    (seen(silent: 10_000, tcp: busy), account(seen(by: .connector, socket: .unreachable)), .networkUnreachable),
    (seen(silent: 10_000, tcp: busy), account(seen(by: .connector, silent: 9_000, stall: 20_000)), .hostSuspended),
    // A swallowed direction lets the other end's next ping through.
    (seen(silent: 9_700, tcp: busy), account(seen(by: .connector, silent: 4_700)), .asymmetric),
    (seen(silent: 9_700, tcp: hearing(4)), account(seen(by: .connector, silent: 9_700, tcp: hearing(0))), .asymmetric),
    (seen(silent: 9_700, tcp: hearing(0)), account(seen(by: .connector, silent: 9_700, tcp: hearing(4))), .asymmetric),
    (
      seen(silent: 9_700, tcp: hearing(0)), account(seen(by: .connector, silent: 9_700, tcp: hearing(0))),
      .networkBlackhole
    ),
    (seen(silent: 4_700, tcp: busy), account(seen(by: .connector, silent: 9_700)), .asymmetric),
    (seen(silent: 9_700, tcp: busy), account(seen(by: .connector, silent: 9_300)), .networkBlackhole),
    // Pings pass, what is larger than they does not.
    (seen(silent: 9_500, tcp: hearing(3)), account(seen(by: .connector, socket: .closed)), .networkBlackhole),
    (seen(silent: 9_500, tcp: calm), account(seen(by: .connector, socket: .reset)), .networkBlackhole),
    (seen(socket: .reset), account(seen(by: .connector, silent: 9_500, tcp: hearing(3))), .networkBlackhole),
    (seen(silent: 9_500, tcp: hearing(0)), account(seen(by: .connector, socket: .closed)), .asymmetric),
    (seen(socket: .reset), account(seen(by: .connector, silent: 9_500, tcp: hearing(0))), .asymmetric),
    (seen(silent: 9_700, tcp: calm), account(seen(by: .connector, silent: 4_700, tcp: busy)), .networkBlackhole),
    // Nothing is on its way because the Host's own firewall swallows it.
    (seen(silent: 9_700, tcp: busy), account(seen(by: .connector, silent: 4_700, tcp: held)), .asymmetric),
    (seen(silent: 9_700, tcp: hearing(0)), account(seen(by: .connector, socket: .reset, tcp: held)), .asymmetric),
    (seen(silent: 9_700, tcp: busy), account(seen(by: .connector, silent: 4_700, tcp: calm)), .networkBlackhole),
    // The end that was told by a reset had waited for an answer, too.
    (seen(silent: 6_000, tcp: hearing(0)), account(seen(by: .connector, socket: .reset, tcp: calm)), .networkBlackhole),
    (seen(silent: 6_000, tcp: hearing(0)), account(seen(by: .connector, socket: .reset, tcp: busy)), .asymmetric),
    (seen(socket: .reset), account(seen(by: .connector, socket: .timedOut)), .networkBlackhole),
    (seen(socket: .timedOut), account(seen(by: .connector, socket: .closed)), .networkBlackhole),
    // The control plane stood still, and the Connector gave it up.
    (seen(socket: .closed, stall: 20_000), account(seen(by: .connector, silent: 9_700)), .gatewayOverload),
    // A goodbye is not doubted, whatever is told later.
    (seen(signal: .unregister), account(kernel: false), .connectorShutdown),
    (seen(signal: .drain), account(seen(by: .connector, socket: .reset)), .gracefulDrain),
    // An account that adds nothing leaves the class as it was.
    (seen(silent: 10_000, tcp: calm), account(), .hostSuspended),
  ]

  @Test("with the other end's account", arguments: told.indices)
  func both(_ index: Int) {
    let (evidence, account, expected) = Self.told[index]
    #expect(LossClassifier.classify(evidence, account: account).lossClass == expected)
  }

  @Test("deaths after the same idle time are somebody's timer, other deaths are not")
  func timer() {
    let dead = Self.seen(silent: 60_000, tcp: Self.busy)
    #expect(LossClassifier.classify(dead, idleDeaths: [60_500, 59_000, 61_000]).lossClass == .natIdleExpiry)
    #expect(LossClassifier.classify(dead, idleDeaths: [60_500, 59_000]).lossClass == .networkBlackhole)
    #expect(LossClassifier.classify(dead, idleDeaths: [10_000, 200_000, 61_000]).lossClass == .networkBlackhole)
    let short = Self.seen(silent: 10_000, tcp: Self.busy)
    #expect(LossClassifier.classify(short, idleDeaths: [10_000, 10_000, 10_000]).lossClass == .networkBlackhole)
  }

  @Test("every combination has a class, and the same evidence always has the same one")
  func total() {
    let phases = Evidence.Phase.allCases
    let sockets: [Evidence.SocketEnd?] = [nil, .closed, .reset, .timedOut, .refused, .unreachable]
    var classes: Set<LossClass> = []
    for phase in phases {
      for socket in sockets {
        for silent in [nil, Int64(10_000)] {
          for observer in [Evidence.Observer.gateway, .connector] {
            let evidence = Self.seen(phase, by: observer, socket: socket, silent: silent, tcp: Self.busy)
            let verdict = LossClassifier.classify(evidence)
            #expect(verdict == LossClassifier.classify(evidence))
            classes.insert(verdict.lossClass)
          }
        }
      }
    }
    #expect(classes.count > 6)
  }

  @Test("every class has a side and words for people")
  func words() {
    #expect(LossClass.allCases.count == 24)
    #expect(Set(LossClass.allCases.map(\.explanation)).count == 24)
    #expect(Set(LossClass.allCases.map(\.side)) == Set(LossClass.Side.allCases))
  }
}
