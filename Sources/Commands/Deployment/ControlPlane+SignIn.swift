import Access
import Web

extension ControlPlane {
  func signInURL(_ link: OneTimeLink, _ running: Running) -> String {
    SignInAddress.link(link.secret, publicURL: running.url)
  }
}
