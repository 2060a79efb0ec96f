import java.nio.file.Files;
import java.nio.file.Path;
import java.security.PrivateKey;
import java.security.cert.X509Certificate;
import javax.crypto.SecretKey;
import javax.crypto.spec.SecretKeySpec;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;

/** Reads what recipients are made of: certificates and PKCS #8 keys in DER, octets of other keys. */
final class Material {
    private Material() {}

    static X509CertificateHolder holder(String name) throws Exception {
        return new X509CertificateHolder(Files.readAllBytes(Path.of(name)));
    }

    static X509Certificate certificate(String name) throws Exception {
        return new JcaX509CertificateConverter().setProvider("BC").getCertificate(holder(name));
    }

    static PrivateKey privateKey(String name) throws Exception {
        var info = PrivateKeyInfo.getInstance(Files.readAllBytes(Path.of(name)));
        return new JcaPEMKeyConverter().setProvider("BC").getPrivateKey(info);
    }

    static SecretKey secretKey(String name) throws Exception {
        return new SecretKeySpec(Files.readAllBytes(Path.of(name)), "AES");
    }
}
