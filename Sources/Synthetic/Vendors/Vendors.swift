import Basics
import Crypto

/// The vendors' APIs, as far as validators ask them: their published truth tables, with the traps that are in them.
///
/// A fixture's name says what the vendor thinks of it: the same name is the same account, and a name that begins with a
/// word of `Temper` has that one's fate. Whatever is no whole fixture of the vendor is refused as the vendor refuses.
enum Vendors {
  /// How an account behaves.
  enum Temper: String, CaseIterable {
    /// Known, and not good any more.
    case revoked
    /// Known, and asked too often.
    case limited
    /// The vendor is not well.
    case broken
    /// Something else answers in the vendor's place: 200 and a page in HTML.
    case portal
    /// The endpoint lets anybody in, as OpenRouter's list of models does.
    case open
    /// Sends elsewhere.
    case moved
    /// 200, and JSON of a form that nobody described.
    case odd

    static func of(_ name: String) -> Temper? { allCases.first { name.hasPrefix($0.rawValue) } }
  }

  struct Request {
    var method = "GET"
    var path: String
    /// Lower-case names.
    var headers: [String: String]
    var body: [UInt8] = []
    var seconds: Int64 = 0
  }

  struct Answer: Equatable {
    var status: Int
    var headers: [(name: String, value: String)] = []
    var body: String

    static func == (left: Answer, right: Answer) -> Bool {
      left.status == right.status && left.body == right.body
        && left.headers.map { "\($0.name):\($0.value)" } == right.headers.map { "\($0.name):\($0.value)" }
    }

    static func json(_ status: Int, _ body: JSONValue, _ headers: [(String, String)] = []) -> Answer {
      Answer(
        status: status, headers: [("content-type", "application/json")] + headers.map { (name: $0, value: $1) },
        body: body.canonical)
    }
  }

  /// `DELETE` of what is asked otherwise revokes the credential that is shown.
  ///
  /// - Parameter request: its path is what stands behind the door: `/openai/v1/me`.
  static func answer(to request: Request, at door: VendorDesk.Door, _ desk: VendorDesk) -> Answer {
    let path = request.path.split(separator: "?", maxSplits: 1).first.map(String.init) ?? ""
    let parts = path.split(separator: "/", maxSplits: 1).map(String.init)
    let place = "/" + (parts.last ?? "")
    guard parts.count == 2,
      let vendor = Vendor.allCases.first(where: {
        $0.host == parts[0] && ($0.serves(place) || $0.completions == place)
      })
    else { return .json(404, ["error": "not found"]) }
    let shown = vendor.credential(request, place, door == .accounts ? desk.values : [])
    desk.came(to: door, with: shown, isFixture: vendor.claimed(shown) != nil)
    if desk.isRevoked(shown) { return vendor.refusal(shown) }
    if request.method == "DELETE" {
      desk.revoke(shown)
      return Answer(status: 204, body: "")
    }
    guard request.method == vendor.method || vendor.completions == place else {
      return Answer(status: 405, headers: [("content-type", "text/html")], body: "<h1>Method Not Allowed</h1>")
    }
    switch door {
    case .accounts: return desk.account(of: shown).map { vendor.welcome($0, at: place) } ?? vendor.refusal(shown)
    case .fixtures:
      return answer(to: shown, at: vendor, place) {
        vendor.completions == place ? completion(request) : vendor.welcome($0, at: place)
      }
    }
  }

  private static func completion(_ request: Request) -> Answer {
    let answer = FixtureModel.answer(
      method: "POST", path: "/v1/chat/completions", authorization: nil, key: nil, body: request.body,
      seconds: request.seconds)
    return Answer(status: answer.status, headers: [("content-type", answer.contentType)], body: answer.body)
  }

  private static func answer(
    to shown: String, at vendor: Vendor, _ place: String, welcome: (String) -> Answer
  ) -> Answer {
    // A corrupted copy belongs to the same place, so that an endpoint which does not check shows itself.
    if let temper = vendor.claimed(shown).flatMap(Temper.of), let answer = answer(of: temper, at: vendor, place, shown)
    {
      return answer
    }
    guard let name = vendor.name(in: shown) else { return vendor.refusal(shown) }
    return welcome(name)
  }

  private static func answer(
    of temper: Temper, at vendor: Vendor, _ place: String, _ shown: String
  ) -> Answer? {
    switch temper {
    case .revoked: return vendor.refusal(shown)
    case .limited:
      return .json(429, ["error": ["message": "Rate limit reached"], "ok": false], [("retry-after", "20")])
    case .broken: return Answer(status: 503, headers: [("content-type", "text/plain")], body: "upstream connect error")
    case .portal:
      return Answer(
        status: 200, headers: [("content-type", "text/html")],
        body: "<!doctype html><title>Sign in to the network</title><form action=/login></form>")
    case .open: return vendor.welcome("open", at: place)
    case .moved: return Answer(status: 302, headers: [("location", "https://login.example.com/")], body: "")
    case .odd: return .json(200, ["status": "fine"])
    }
  }
}
